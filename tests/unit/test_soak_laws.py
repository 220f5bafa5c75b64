"""The soak's laws see what breaks them, and let pass what does not."""

import pytest

from tests.soak import laws
from tests.soak.figures import Figures
from tests.soak.machine import Footprint
from tests.soak.state import State
from tests.soak.witness import Seen


def pod(revision=1, uid="p", ready=True, phase="Running", restarts=0, node="n1", **metadata):
    status = {
        "phase": phase,
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"restartCount": restarts, "state": {}}],
    }
    metadata = {"uid": uid, "name": uid, "resourceVersion": str(revision), **metadata}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}, "status": status}


def slice_of(revision, *uids):
    ends = [{"targetRef": {"uid": u, "name": u}, "conditions": {"ready": True}} for u in uids]
    metadata = {"uid": "s", "name": "s", "resourceVersion": str(revision)}
    return {"kind": "EndpointSlice", "metadata": metadata, "endpoints": ends}


def seen(*events):
    return [Seen(kind, obj, at_s) for at_s, (kind, obj) in enumerate(events)]


GOOD = [("ADDED", pod(1)), ("MODIFIED", pod(2)), ("DELETED", pod(3))]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([("ADDED", pod(2)), ("MODIFIED", pod(1))], ["came at 1, after 2"]),
        ([("MODIFIED", pod(1))], ["MODIFIED when it was not there yet"]),
        ([("ADDED", pod(1)), ("ADDED", pod(2))], ["ADDED when it was there"]),
        ([*GOOD, ("MODIFIED", pod(4))], ["MODIFIED when it was over"]),
    ],
    ids=["backwards", "never added", "added twice", "after its end"],
)
def test_an_event_out_of_turn_breaks_the_order_of_a_stream(events, words):
    (fault,) = laws.order_faults((), seen(*events))
    assert words[0] in fault


def test_a_whole_life_in_order_breaks_nothing():
    assert not list(laws.order_faults((), seen(*GOOD)))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (pod(generation=2), pod(generation=1), "generation"),
        (pod(deletionTimestamp="t"), pod(), "deletion"),
        (pod(phase="Failed"), pod(phase="Running"), "from Failed to Running"),
        (pod(node="n1"), pod(node="n2"), "from n1 to n2"),
        (pod(restarts=2), pod(restarts=1), "restarts: 2 to 1"),
    ],
    ids=["generation", "deletion", "phase", "node", "restarts"],
)
def test_what_never_goes_back_has_gone_back(before, after, words):
    (fault,) = laws.change_faults(before, after)
    assert words in fault


def test_a_lost_event_is_a_disagreement_of_two_witnesses():
    assert laws.disagreement(seen(*GOOD), seen(*GOOD)) is None
    assert "1 lost" in laws.disagreement(seen(*GOOD), seen(GOOD[0], GOOD[2]))
    assert "0 lost" in laws.disagreement(seen(*GOOD), seen(GOOD[1], GOOD[0], GOOD[2]))


def test_what_a_witness_knows_follows_from_what_it_was_told():
    assert laws.fold([pod(1, "old")], seen(*GOOD[:2])) == {"old": "1", "p": "2"}
    assert laws.fold([pod(1)], seen(GOOD[2])) == {}


def test_an_endpoint_before_its_pod_was_ready_is_a_fault():
    found = laws.follow_endpoints(
        seen(("ADDED", pod(1, ready=False))), seen(("ADDED", slice_of(2, "p"))), until_s=1
    )
    assert found.faults == ["endpoint p before its pod was Ready"]


def test_an_endpoint_that_outlives_its_pods_readiness_is_a_fault_when_it_does_so_for_long():
    pods = seen(("ADDED", pod(1)), ("MODIFIED", pod(3, ready=False)))
    slices = [Seen("ADDED", slice_of(2, "p"), 0.5), Seen("MODIFIED", slice_of(4), 6.0)]
    late = laws.follow_endpoints(pods, slices, until_s=10)
    assert late.lags_s == [5.0]
    assert late.faults == ["an endpoint 5.0 s after its pod was Ready"]
    assert not laws.follow_endpoints(pods, slices, until_s=10, allowed_s=6).faults
    (left,) = laws.follow_endpoints(pods, slices[:1], until_s=10).faults
    assert "9.0 s" in left


def test_growth_counts_from_the_end_of_the_warm_up():
    samples = [(at_s, 50.0 + (at_s if at_s < 60 else 60)) for at_s in range(0, 120, 5)]
    assert laws.growth_pct(samples, after_s=60) == 0
    assert laws.growth_pct(samples, after_s=0) > 20
    assert laws.growth_pct(samples, after_s=110) is None


@pytest.mark.parametrize(
    ("rss_mib", "handles", "told"),
    [(0, 0, []), (1, 0, ["resident memory of main"]), (0, 1, ["open file handles of main"])],
    ids=["flat", "memory", "handles"],
)
def test_a_part_that_grows_by_the_minute_is_named(rss_mib, handles, told):
    figures = Figures(seed=1)
    for minute in range(40):
        main = Footprint(80.0 + minute * rss_mib, 30 + minute * handles)
        figures.footprints.append((60.0 * minute, {"main": main}))
    assert [line.split(" grew")[0] for line in figures.grown("node")] == told


def deployment(replicas=1, **status):
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)
    return {
        "kind": "Deployment",
        "metadata": {"name": "d", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"image": "i"}]}},
        },
        "status": counts | {"observedGeneration": 1} | status,
    }


def replica_set(replicas=1):
    owner = {"ownerReferences": [{"uid": "d"}]}
    return {"metadata": {"name": "r", "uid": "r"} | owner, "spec": {"replicas": replicas}}


def owned_pod(image="i", owner="r", **more):
    labels = {"app": "d"}
    made = pod(labels=labels, ownerReferences=[{"uid": owner}], **more)
    made["spec"]["containers"] = [{"image": image}]
    return made


SERVICE = {"metadata": {"name": "d"}, "spec": {"selector": {"app": "d"}}}
SLICE = slice_of(1, "p") | {
    "metadata": {"name": "d-1", "labels": {"kubernetes.io/service-name": "d"}}
}
SETTLED = State([deployment()], [replica_set()], [owned_pod()], [], [SERVICE], [SLICE])


def test_a_settled_namespace_is_settled():
    assert SETTLED.unsettled() == []
    assert list(SETTLED.without_process({"p"})) == []


def test_a_ready_pod_without_a_process_is_named():
    assert list(SETTLED.without_process({"q"})) == ["Pod p is Ready, and has no process"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deployments": [deployment(availableReplicas=0)]}, "not rolled out"),
        ({"replica_sets": [replica_set(), replica_set()]}, "has ReplicaSets of [1, 1]"),
        ({"pods": [owned_pod(ready=False)]}, "1 pods, 0 Ready"),
        ({"pods": [owned_pod(image="other")]}, "another template"),
        ({"pods": [owned_pod(), owned_pod(owner="gone", uid="q")]}, "lost its owner"),
        ({"pods": [owned_pod(deletionTimestamp="t")]}, "still ending"),
        ({"slices": []}, "sends to 0 pods of 1 Ready"),
        ({"jobs": [{"metadata": {"name": "j", "uid": "j"}, "status": {}}]}, "not Complete"),
    ],
    ids=["status", "sets", "ready", "template", "orphan", "ending", "endpoints", "job"],
)
def test_what_is_not_as_its_spec_wants_it_is_named(change, words):
    found = State(**(vars(SETTLED) | change)).unsettled()
    assert any(words in line for line in found), found
