"""Who was ready when, and what the cluster said, on the run's clock."""

import pytest

from lab_utils.clock import Clock
from lab_utils.states import tabulate_events, tabulate_gaps, tabulate_states
from lab_utils.watches import Change, Gap

CLOCK = Clock(start_ns=10_000_000_000, start_unix_s=1_800_000_000.0)


def at(t_s, kind, obj, **how):
    return Change(CLOCK.at_ns(t_s), kind, obj, **how)


def pod(ready, *, waiting=None, **meta):
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {"name": "a", "labels": {"role": "primary"}} | meta,
        "spec": {"nodeName": "n"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"state": state}],
        },
    }


def piece(*endpoints):
    return {
        "metadata": {"name": "inference-x", "labels": {"kubernetes.io/service-name": "inference"}},
        "endpoints": [
            {"targetRef": {"name": name}, "conditions": {"ready": ready}, "addresses": ["1"]}
            for name, ready in endpoints
        ],
    }


def told(table):
    return table[["t_s", "kind", "name", "ready", "reason"]].values.tolist()


def test_a_pod_is_a_row_at_the_start_and_one_for_each_change():
    changes = [
        at(0.0, "pods", pod(True), listed=True),
        at(1.0, "pods", pod(True)),  # something else has changed
        at(2.0, "pods", pod(False, waiting="CrashLoopBackOff")),
        at(3.0, "pods", pod(True, deletionTimestamp="2027-01-15T08:00:03Z")),
        at(4.0, "pods", pod(False), deleted=True),
    ]
    table = tabulate_states(changes, CLOCK)
    assert told(table) == [
        [0.0, "pod", "a", True, "Running"],
        [2.0, "pod", "a", False, "CrashLoopBackOff"],
        [3.0, "pod", "a", False, "Terminating"],
        [4.0, "pod", "a", False, "Deleted"],
    ]
    assert set(table["role"]) == {"primary"}


def test_an_endpoint_that_leaves_its_slice_is_no_longer_ready():
    changes = [
        at(0.0, "pods", pod(True)),
        at(0.0, "endpointslices", piece(("a", True), ("b", True))),
        at(1.0, "endpointslices", piece(("a", False), ("b", True))),
        at(2.0, "endpointslices", piece(("b", True))),
        at(3.0, "endpointslices", piece(("b", True)), deleted=True),
    ]
    table = tabulate_states(changes, CLOCK)
    endpoints = table[table["kind"] == "endpoint"]
    assert told(endpoints) == [
        [0.0, "endpoint", "a", True, "inference"],
        [0.0, "endpoint", "b", True, "inference"],
        [1.0, "endpoint", "a", False, "inference"],
        [3.0, "endpoint", "b", False, "inference"],
    ]
    assert endpoints["role"].tolist() == ["primary", "", "primary", ""]


def test_a_node_is_as_ready_as_its_condition_says_and_why():
    def node(status, reason):
        conditions = [{"type": "Ready", "status": status, "reason": reason}]
        return {"metadata": {"name": "n"}, "status": {"conditions": conditions}}

    changes = [
        at(0.0, "nodes", node("True", "KubeletReady")),
        at(50.0, "nodes", node("Unknown", "NodeStatusUnknown")),
    ]
    assert told(tabulate_states(changes, CLOCK)) == [
        [0.0, "node", "n", True, "KubeletReady"],
        [50.0, "node", "n", False, "NodeStatusUnknown"],
    ]


def test_a_gap_that_is_not_over_lasts_until_the_end():
    gaps = [
        Gap(CLOCK.at_ns(2), None, "watch pods", "away"),
        Gap(CLOCK.at_ns(0), CLOCK.at_ns(1), "usage a", "504"),
    ]
    table = tabulate_gaps(gaps, CLOCK, CLOCK.at_ns(9))
    assert table.values.tolist() == [
        [0.0, 1.0, "usage a", "504"],
        [2.0, 9.0, "watch pods", "away"],
    ]


@pytest.mark.parametrize(
    ("stamps", "t_s"),
    [
        ({"eventTime": "2027-01-15T08:00:01.250000Z"}, 1.25),
        ({"lastTimestamp": "2027-01-15T08:00:02Z", "firstTimestamp": "2027-01-15T08:00:00Z"}, 2),
        ({"eventTime": "2027-01-15T08:00:01Z", "lastTimestamp": None}, 1),
        ({"series": {"lastObservedTime": "2027-01-15T08:00:03.5Z"}}, 3.5),
        ({}, 4),
    ],
    ids=["eventTime", "lastTimestamp", "null", "series", "created"],
)
def test_events_are_placed_by_their_latest_stamp(stamps, t_s):
    event = {
        "metadata": {"creationTimestamp": "2027-01-15T08:00:04Z"},
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Readiness probe failed",
        "involvedObject": {"kind": "Pod", "name": "a"},
    }
    table = tabulate_events([event | stamps], CLOCK)
    assert table["t_s"][0] == pytest.approx(t_s)
    assert table.loc[0, ["kind", "name", "reason"]].tolist() == ["Pod", "a", "Unhealthy"]
