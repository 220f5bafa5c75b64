"""Every fault is seen by a client, undone, and gone."""

import socket
import time
import urllib.request

import pytest

from lab_utils.conditions import is_ready, restarts_of
from lab_utils.draining import RETRY_S
from lab_utils.errors import ClusterError, InvalidInput
from lab_utils.waiting import wait_for

SEEN_WITHIN_S = 12.0
HEALED_WITHIN_S = 30.0


def the_pod(lab, role):
    (pod,) = lab.pods(f"role={role}")
    return pod


def uids(lab):
    return {pod["metadata"]["uid"] for pod in lab.pods()}


def eventually(condition, timeout_s=SEEN_WITHIN_S):
    late = AssertionError(f"not seen within {timeout_s} s")
    wait_for(lambda: True if condition() else None, timeout_s=timeout_s, late=lambda: late)


def answers(lab, role):
    try:
        lab.infer(f"inference-{role}")
    except ClusterError:
        return False
    return True


def test_a_deleted_pod_is_replaced(deployed):
    before = the_pod(deployed, "primary")["metadata"]["uid"]
    with deployed.faults.delete_pod("primary"):
        eventually(lambda: before not in uids(deployed))
    deployed.wait()
    assert answers(deployed, "primary")


def autoscalers(lab):
    return lab.cluster.api.list("horizontalpodautoscalers", lab.cluster.namespace)


def test_an_autoscaler_is_there_until_it_is_taken_back(deployed):
    with deployed.faults.autoscale("backup", target_pct=60, most=3):
        (hpa,) = autoscalers(deployed)
        (metric,) = hpa["spec"]["metrics"]
        assert metric["resource"]["target"]["averageUtilization"] == 60
        assert hpa["spec"]["scaleTargetRef"]["name"] == "inference-backup"
    assert autoscalers(deployed) == []


def test_an_autoscaler_that_somebody_forgot_is_gone_in_the_known_state(deployed):
    deployed.faults.autoscale("backup").inject()
    deployed.scale("inference-backup", 2)
    deployed.ensure()
    assert autoscalers(deployed) == []
    assert len(deployed.pods("role=backup")) == 1


def test_a_drained_node_gives_its_pods_away_and_is_taken_back(deployed):
    pod = the_pod(deployed, "primary")
    with deployed.faults.drain("primary"):
        eventually(lambda: pod["metadata"]["uid"] not in uids(deployed), HEALED_WITHIN_S)
        assert deployed.cluster.nodes_cordoned() == [pod["spec"]["nodeName"]]
    assert deployed.cluster.nodes_cordoned() == []
    assert not any(node["spec"].get("unschedulable") for node in deployed.cluster.nodes())
    deployed.wait()
    assert answers(deployed, "primary")


def test_a_drain_waits_for_a_budget_as_long_as_it_takes(deployed):
    before = the_pod(deployed, "primary")["metadata"]["uid"]
    deployed.patch("pdb", "inference", {"spec": {"minAvailable": 2}})
    with deployed.faults.drain("primary"):
        eventually(lambda: deployed.cluster.nodes_cordoned())
        with pytest.raises(AssertionError):
            eventually(lambda: before not in uids(deployed), 2 * RETRY_S)
        deployed.patch("pdb", "inference", {"spec": {"minAvailable": 1}})
        eventually(lambda: before not in uids(deployed), HEALED_WITHIN_S)


def test_a_rollout_replaces_the_pods_of_a_role_and_changes_what_it_is_told(deployed):
    before = uids(deployed)
    pause = {"preStop": {"sleep": {"seconds": 1}}}
    change = {"containers": [{"name": "worker", "lifecycle": pause}]}
    deployed.faults.roll_out("backup", change).inject()
    deployed.wait()
    assert len(before - uids(deployed)) == 1
    (container,) = the_pod(deployed, "backup")["spec"]["containers"]
    assert container["lifecycle"] == pause
    deployed.faults.roll_out("backup").inject()
    deployed.wait()
    assert len(before & uids(deployed)) == 1


def test_a_role_is_scaled_and_stays_so_until_the_lab_is_put_in_order(deployed):
    with deployed.faults.scale("backup", 2):
        deployed.wait()
    assert len(deployed.pods("role=backup")) == 2
    deployed.ensure()
    assert len(deployed.pods("role=backup")) == 1


def test_a_node_that_was_left_drained_is_taken_back(deployed):
    deployed.faults.drain("backup").inject()
    deployed.ensure()
    assert deployed.cluster.nodes_cordoned() == []
    assert all(map(is_ready, deployed.pods()))


@pytest.mark.machines
def test_a_killed_container_is_restarted_and_the_last_state_says_why(deployed):
    with deployed.faults.kill("primary"):
        eventually(lambda: restarts_of(the_pod(deployed, "primary")) == 1)
    (status,) = the_pod(deployed, "primary")["status"]["containerStatuses"]
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "Error")
    eventually(lambda: is_ready(the_pod(deployed, "primary")), HEALED_WITHIN_S)
    eventually(lambda: answers(deployed, "primary"))


@pytest.mark.fault(10)
@pytest.mark.machines
def test_a_hanging_container_leaves_the_service_and_comes_back(deployed):
    """Long enough for readiness (3-5 s), too short for liveness (11-16 s)."""
    before = the_pod(deployed, "primary")["metadata"]["uid"]
    with deployed.faults.hang("primary"):
        eventually(lambda: not is_ready(the_pod(deployed, "primary")))
        assert deployed.infer()["parameters"]["role"] == "backup"
    eventually(lambda: is_ready(the_pod(deployed, "primary")))
    pod = the_pod(deployed, "primary")
    assert (pod["metadata"]["uid"], restarts_of(pod)) == (before, 0)


@pytest.mark.machines
def test_a_node_without_power_hangs_connections_and_comes_back_with_its_pod(deployed):
    url = deployed.url("inference-primary", "/v2/health/live")
    with deployed.faults.stop_node("primary"), pytest.raises((TimeoutError, socket.timeout)):
        urllib.request.urlopen(url, timeout=1.0)
    eventually(lambda: restarts_of(the_pod(deployed, "primary")) == 1, HEALED_WITHIN_S)
    eventually(lambda: is_ready(the_pod(deployed, "primary")), HEALED_WITHIN_S)
    eventually(lambda: answers(deployed, "primary"))


@pytest.mark.machines
def test_a_frozen_node_answers_late_and_loses_nothing(deployed):
    url = deployed.url("inference-primary", "/v2/health/live")
    before = the_pod(deployed, "primary")["metadata"]["uid"]
    with deployed.faults.pause_node("primary"), pytest.raises((TimeoutError, socket.timeout)):
        urllib.request.urlopen(url, timeout=1.0)
    eventually(lambda: answers(deployed, "primary"))
    pod = the_pod(deployed, "primary")
    assert (pod["metadata"]["uid"], restarts_of(pod)) == (before, 0)


@pytest.mark.machines
def test_a_fault_is_injected_once_and_undone_once(deployed):
    fault = deployed.faults.hang("backup")
    fault.inject()
    fault.inject()
    fault.undo()
    fault.undo()
    eventually(lambda: answers(deployed, "backup"))


@pytest.mark.machines
def test_a_fault_in_a_run_is_in_its_tables(deployed):
    hang = deployed.faults.hang("backup", at_s=1.0, duration_s=2.0)
    run = deployed.fire(rate_rps=10, duration_s=5, timeout_s=1.0, faults=[hang])
    (fault,) = run.faults.to_dict("records")
    assert (fault["name"], fault["target"]) == ("hang", "backup")
    assert fault["start_s"] == pytest.approx(1.0, abs=0.3)
    assert fault["end_s"] == pytest.approx(3.0, abs=0.5)
    assert set(run.requests.loc[~run.requests["ok"], "error"]) == {"timeout"}


def test_a_run_that_ends_before_its_fault_is_refused(deployed):
    kill = deployed.faults.kill("primary", at_s=10)
    with pytest.raises(InvalidInput, match="at_s"):
        deployed.fire(rate_rps=10, duration_s=5, faults=[kill])


@pytest.mark.machines
def test_an_interrupted_context_still_undoes(deployed):
    started_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt), deployed.faults.hang("backup"):
        raise KeyboardInterrupt
    assert time.monotonic() - started_s < 1.0
    eventually(lambda: answers(deployed, "backup"))
