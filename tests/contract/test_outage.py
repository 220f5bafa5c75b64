"""A node that is stopped or paused: when it is noticed, what becomes of its pods, how it heals.

With Kubernetes' own times: 10 s leases, 50 s of grace, looked at every 5 s.
"""

import json
from pathlib import Path

import pytest

from lab_utils.errors import LabError
from lab_utils.session import Lab
from lab_utils.waiting import wait_for
from tests.contract.cluster import Cluster, Namespace, condition_of, holds, rolled_out
from tests.contract.conftest import Past
from tests.contract.history import Recorder, differences, read_recording, story
from tests.contract.manifests import deployment, server
from tests.contract.outage import PATIENCE_S, UNREACHABLE, Outage

TIMINGS = Path(__file__).parents[1] / "reference" / "timings" / "failure-windows.json"
READY = "status.conditions[Ready].status"


@pytest.fixture(scope="module")
def outage(past: Past) -> Outage:
    """Give the recorded outage."""
    if isinstance(past.outage, LabError):
        pytest.skip(f"no node can be stopped here: {past.outage}")
    return past.outage


def noticed_on_kind() -> list[float]:
    """Give the times from a failure to NotReady, as recorded."""
    return [
        t_s for scenario in json.loads(TIMINGS.read_text()) for t_s, state in scenario["nodes"]
        if "Unknown <none>" in state
    ]  # fmt: skip


def test_a_silent_node_is_not_ready_after_its_grace_period(outage: Outage) -> None:
    seen_s = outage.seconds_until("Node", outage.node, READY, "Unknown")
    assert min(noticed_on_kind()) - 5 <= seen_s <= max(noticed_on_kind()) + 7


def test_every_condition_of_the_node_is_unknown_and_comes_back(outage: Outage) -> None:
    rows = [row for row in outage.recorder.rows if row.kind == "Node" and row.name == outage.node]
    told = story(rows, outage.recorder.before)
    wanted = story(row for row in read_recording("15-node-stopped") if row.kind == "Node")
    assert differences(told, wanted) == {}


def test_it_is_tainted_for_scheduling_and_for_execution_until_it_is_back(outage: Outage) -> None:
    rows = list(outage.rows("Node", outage.node))
    effects = [
        {t["effect"] for t in row.obj["spec"].get("taints", []) if t["key"] == UNREACHABLE}
        for row in rows
    ]
    assert {"NoSchedule", "NoExecute"} in effects
    assert effects[-1] == set()


def test_its_pods_are_not_ready_at_once_but_running_still(outage: Outage) -> None:
    noticed_s = outage.seconds_until("Node", outage.node, READY, "Unknown")
    unready_s = outage.seconds_until("Pod", "steady", READY, "False")
    assert -0.5 <= unready_s - noticed_s <= 3
    (first, *_) = [r for r in outage.rows("Pod", "steady") if r.fields[READY] == "False"]
    assert first.fields["status.phase"] == "Running"
    assert "deletionTimestamp" not in first.obj["metadata"]


def test_its_endpoints_stop_serving_with_it(outage: Outage) -> None:
    noticed_s = outage.seconds_until("Node", outage.node, READY, "Unknown")
    rows = [
        row for row in outage.rows("EndpointSlice", "steady")
        if not row.obj["endpoints"][0]["conditions"]["ready"]
    ]  # fmt: skip
    assert rows[0].t_s - outage.stopped_s - noticed_s <= 3
    assert rows[0].obj["endpoints"][0]["conditions"]["serving"] is False


def test_a_pod_is_evicted_when_its_toleration_is_over(outage: Outage) -> None:
    deleted = next(
        row for row in outage.rows("Pod", "hasty") if "deletionTimestamp" in row.obj["metadata"]
    )
    tainted_s = next(
        row.t_s for row in outage.rows("Node", outage.node)
        if "NoExecute" in json.dumps(row.obj["spec"].get("taints", []))
    )  # fmt: skip
    # A taint's timeAdded is in whole seconds, so it may say up to one less than is seen here.
    assert PATIENCE_S - 1.1 <= deleted.t_s - tainted_s <= PATIENCE_S + 5
    assert condition_of(deleted.obj, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
    reasons = [row.obj["reason"] for row in outage.rows("Event", "hasty")]
    assert "TaintManagerEviction" in reasons


def test_its_replacement_is_elsewhere_and_itself_stays_until_the_node_is_back(
    outage: Outage,
) -> None:
    added = next(row for row in outage.rows("Pod", "hasty") if row.type == "ADDED")
    gone = next(row for row in outage.rows("Pod", "hasty") if row.type == "DELETED")
    assert gone.name != added.name
    assert gone.t_s >= outage.started_s
    placed = [r.obj["spec"].get("nodeName") for r in outage.rows("Pod", added.name)]
    assert placed[-1] != outage.node


def test_the_pod_that_stayed_starts_again_as_recorded(outage: Outage) -> None:
    rows = [
        row for row in outage.recorder.rows
        if (row.kind == "Pod" and row.name.startswith("steady"))
        or (row.kind == "Event" and row.obj["involvedObject"]["name"].startswith("steady-"))
    ]  # fmt: skip
    recorded = [row for row in read_recording("15-node-stopped") if row.kind in ("Pod", "Event")]
    told, wanted = story(rows, outage.recorder.before), story(recorded)
    wanted = {key.replace(" worker ", " c "): values for key, values in wanted.items()}
    assert set(told.pop("Pod 1 events")) >= set(wanted.pop("Pod 1 events")) - {"Unhealthy"}
    assert differences(told, wanted) == {}


def renewed(cluster: Cluster, node: str) -> str:
    """Give the time at which a node last renewed its Lease; wait for the first."""
    return Namespace(cluster, "kube-node-lease").until("Lease", node, bool)["spec"]["renewTime"]


def test_a_short_pause_is_noticed_by_nobody(
    lab: Lab, cluster: Cluster, namespace: Namespace
) -> None:
    node = cluster.nodes()[0]
    stay = {"nodeSelector": {"kubernetes.io/hostname": node}}
    namespace.create(deployment("web", server(), template=stay))
    namespace.until("Deployment", "web", rolled_out)
    recorder = Recorder(namespace, "Node", "Pod")
    try:
        lab.backend.pause_node(node)
    except LabError as exc:
        pytest.skip(f"no node can be paused here: {exc}")
    try:
        paused, other = (renewed(cluster, one) for one in (node, cluster.nodes()[-1]))
        late = AssertionError("the other node renews its lease no more")
        wait_for(
            lambda: renewed(cluster, cluster.nodes()[-1]) != other or None,
            timeout_s=30,
            late=lambda: late,
        )
        assert renewed(cluster, node) == paused
    finally:
        lab.backend.unpause_node(node)
    namespace.until("Deployment", "web", holds("Available"))
    rows = recorder.stop().rows
    assert {row.fields[READY] for row in rows if row.kind == "Node"} <= {"True"}
    (pod,) = namespace.objects("Pod", labelSelector="app=web")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
