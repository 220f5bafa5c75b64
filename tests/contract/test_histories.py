"""What becomes of pods and Jobs that end, break, crash or cannot start: as Kind recorded it.

Every field goes through the recorded values in the recorded order, and the recorded Events come in
their order.
"""

import pytest

from tests.contract.conftest import Past
from tests.contract.history import Row, differences, read_recording, story
from tests.contract.scenarios import SCENARIOS

BRIEF = ("running", "True", "Running")  # too short to be seen, when a process ends at once


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
def test_a_pods_or_jobs_history_is_the_recorded_one(past: Past, name: str) -> None:
    scenario = SCENARIOS[name]
    told = story(rows_about(past.pods.rows, name))
    wanted = story(read_recording(f"20-{name}", scenario.until_s))
    assert differences(told, wanted, without_brief if scenario.brief else list) == {}


def test_a_crash_loop_waits_ten_then_twenty_seconds(past: Past) -> None:
    count = "status.containerStatuses[c].restartCount"
    rows = [row for row in past.pods.rows if row.kind == "Pod" and row.name == "crash"]
    at_s = [next(row.t_s for row in rows if row.fields.get(count) == n) for n in (1, 2, 3)]
    first_s, second_s = at_s[1] - at_s[0], at_s[2] - at_s[1]
    assert 9 <= first_s <= 16  # Kind: 10.7 s
    assert 19 <= second_s <= 27  # Kind: 20.9 s
