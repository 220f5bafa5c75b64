"""What becomes of pods and Jobs that end, break, crash or cannot start: as Kind recorded it.

Every field goes through the recorded values in the recorded order, and the recorded Events come in
their order.
"""

from collections.abc import Iterator

import pytest

from tests.contract import scenarios
from tests.contract.cluster import Cluster
from tests.contract.conftest import new_namespace
from tests.contract.history import Recorder, Row, differences, read_recording, story
from tests.contract.scenarios import SCENARIOS

BRIEF = ("running", "True", "Running")  # too short to be seen, when a process ends at once


@pytest.fixture(scope="module")
def recorder(cluster: Cluster) -> Iterator[Recorder]:
    """Run all scenarios side by side until the slowest has been seen."""
    with new_namespace(cluster) as namespace:
        made = scenarios.start(namespace, cluster.nodes()[-1])
        try:
            scenarios.seen(made, restarted_thrice, 60)
        finally:
            made.stop()
        yield made


def restarted_thrice(recorder: Recorder) -> bool:
    return {"crash", "onfail"} <= {
        row.name
        for row in recorder.rows
        if row.fields.get("status.containerStatuses[c].restartCount") == 3
    }


def rows_about(rows: list[Row], name: str) -> list[Row]:
    """Take the rows about an object, its pods, and the Events of both."""
    others = SCENARIOS.keys() - {name}
    return [row for row in rows if about(row).startswith(name) and about(row) not in others]


def about(row: Row) -> str:
    return row.obj["involvedObject"]["name"] if row.kind == "Event" else row.name


def without_brief(values: list[str]) -> list[str]:
    kept = [value for value in values if value not in BRIEF]
    return [value for i, value in enumerate(kept) if kept[i - 1 : i] != [value]]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_pods_or_jobs_history_is_the_recorded_one(recorder: Recorder, name: str) -> None:
    scenario = SCENARIOS[name]
    told = story(rows_about(recorder.rows, name))
    wanted = story(read_recording(f"20-{name}", scenario.until_s))
    assert differences(told, wanted, without_brief if scenario.brief else list) == {}
