"""Events: the same is counted, the similar combined, the endless silenced."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lab_utils.controlplane.events import Correlator, Told
from lab_utils.controlplane.status import Object

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
POD = {"kind": "Pod", "apiVersion": "v1"}


def told(message: str, pod: str = "a", reason: str = "Unhealthy") -> Told:
    metadata = {"namespace": "lab", "name": pod, "uid": f"{pod}-uid"}
    return Told(POD | {"metadata": metadata}, "Warning", reason, message, "kubelet", "w1")


def tell(correlator: Correlator, *messages: str, at: datetime = NOW) -> list[Any]:
    return [correlator.correlate(told(message), at) for message in messages]


def shown(event: Object | None) -> object:
    return event and (event["message"], event["count"])


def test_the_same_thing_again_is_counted_on_its_event() -> None:
    first, _, third = tell(Correlator(), "no answer", "no answer", "no answer")
    assert shown(third) == ("no answer", 3)
    assert first["metadata"] == third["metadata"]


def test_ten_similar_events_become_one() -> None:
    events = tell(Correlator(), *(f"no answer on try {i}" for i in range(12)))
    assert [shown(event) for event in events[8:]] == [
        ("no answer on try 8", 1),
        ("(combined from similar events): no answer on try 9", 1),
        ("(combined from similar events): no answer on try 10", 2),
        ("(combined from similar events): no answer on try 11", 3),
    ]


def test_similar_events_long_apart_stay_apart() -> None:
    correlator = Correlator()
    tell(correlator, *(f"no answer on try {i}" for i in range(9)))
    (late,) = tell(correlator, "no answer on try 9", at=NOW + timedelta(minutes=11))
    assert shown(late) == ("no answer on try 9", 1)


def test_other_reasons_and_other_pods_are_not_similar() -> None:
    correlator = Correlator()
    tell(correlator, *(f"no answer on try {i}" for i in range(9)))
    other = correlator.correlate(told("started", reason="Started"), NOW)
    assert shown(other) == ("started", 1)
    assert shown(correlator.correlate(told("no answer on try 9", pod="b"), NOW)) == (
        "no answer on try 9",
        1,
    )


@pytest.mark.parametrize(("later_s", "heard"), [(0, False), (299, False), (301, True)])
def test_after_25_events_about_an_object_one_is_heard_every_five_minutes(
    later_s: float, heard: bool
) -> None:
    correlator = Correlator()
    assert None not in tell(correlator, *["no answer"] * 25)
    (event,) = tell(correlator, "no answer", at=NOW + timedelta(seconds=later_s))
    assert (event is not None) is heard
    if event:
        assert event["count"] == 26
