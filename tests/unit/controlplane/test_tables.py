"""Cells of `kubectl get`, from objects to text."""

import json
from pathlib import Path

import pytest

from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.podphase import pod_ready, pod_restarts, pod_status
from lab_utils.controlplane.tables import table
from lab_utils.controlplane.timestamps import human_duration, parse_rfc3339

REFERENCE = Path(__file__).parents[2] / "reference" / "tables"


def cells(kind: str, obj: dict) -> dict:
    made = table(BY_NAME[kind], {}, [obj | {"kind": kind}], lambda _obj: None, 0.0)
    names = [column["name"] for column in made["columnDefinitions"]]
    return dict(zip(names, made["rows"][0]["cells"], strict=True))


def test_a_recorded_pod_has_the_recorded_cells() -> None:
    recorded = json.loads((REFERENCE / "pods.jsonl").read_text())
    made = parse_rfc3339(recorded["object"]["metadata"]["creationTimestamp"]).timestamp()
    shown = table(BY_NAME["Pod"], {}, [recorded["object"]], lambda _obj: None, made + 234)
    assert shown["rows"][0]["cells"] == recorded["cells"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (155, "2m35s"), (600, "10m"), (3 * 3600, "3h"),
     (3 * 3600 + 61, "3h1m"), (8 * 3600, "8h"), (48 * 3600, "2d"), (49 * 3600, "2d1h"),
     (9 * 86400, "9d"), (800 * 86400, "2y70d"), (-5, "<invalid>")],
)  # fmt: skip
def test_a_duration_is_written_as_kubectl_writes_it(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


def state(name: str, ready: bool = False, restarts: int = 0, **kind: dict) -> dict:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": kind}


def pod_with(*statuses: dict, phase: str = "Running", inits: tuple[dict, ...] = (), **more) -> dict:
    spec = {"containers": [{"name": one["name"]} for one in statuses] or [{"name": "c"}]}
    spec["initContainers"] = [{"name": one["name"]} for one in inits]
    status = {"phase": phase, "containerStatuses": list(statuses)}
    status |= {"initContainerStatuses": list(inits)} if inits else {}
    return {"metadata": more, "spec": spec, "status": status}


RUNNING = state("c", ready=True, running={})
WAITING = state("c", waiting={"reason": "CrashLoopBackOff"})
FAILED = state("i", terminated={"exitCode": 1, "reason": "Error"})
ENDED = state("d", terminated={"exitCode": 0, "reason": "Completed"})


@pytest.mark.parametrize(
    ("pod", "status", "ready"),
    [
        (pod_with(RUNNING), "Running", "1/1"),
        (pod_with(phase="Pending"), "Pending", "0/1"),
        (pod_with(WAITING), "CrashLoopBackOff", "0/1"),
        (pod_with(state("c", terminated={"exitCode": 3})), "ExitCode:3", "0/1"),
        (pod_with(state("c", terminated={"exitCode": 1, "signal": 9})), "Signal:9", "0/1"),
        (pod_with(RUNNING, ENDED), "NotReady", "1/2"),
        (pod_with(RUNNING, deletionTimestamp="x"), "Terminating", "1/1"),
        (pod_with(ENDED, phase="Succeeded", deletionTimestamp="x"), "Completed", "0/1"),
        (pod_with(phase="Pending", inits=(state("i", running={}),)), "Init:0/1", "0/1"),
        (pod_with(phase="Pending", inits=(FAILED,)), "Init:Error", "0/1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_pod_is_summed_up_in_a_word(pod: dict, status: str, ready: str) -> None:
    assert (pod_status(pod, 0), pod_ready(pod, 0)) == (status, ready)


def test_restarts_say_when_the_last_one_was() -> None:
    ended = {"terminated": {"finishedAt": "1970-01-01T00:00:10Z"}}
    pod = pod_with(state("c", restarts=2) | {"lastState": ended})
    assert pod_restarts(pod, 57.0) == "2 (47s ago)"


def test_a_cordoned_node_says_so() -> None:
    node = {
        "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    shown = cells("Node", node)
    assert (shown["Status"], shown["Roles"]) == ("Ready,SchedulingDisabled", "control-plane")


def test_many_endpoints_are_shortened() -> None:
    addresses = [{"addresses": [f"127.0.0.{i}"]} for i in range(5)]
    shown = cells("EndpointSlice", {"metadata": {}, "endpoints": addresses, "ports": []})
    assert shown["Endpoints"] == "127.0.0.0,127.0.0.1,127.0.0.2 + 2 more..."
    assert shown["Ports"] == "<unset>"


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"startTime": "1970-01-01T00:00:00Z", "completionTime": "1970-01-01T00:00:08Z",
          "succeeded": 2, "conditions": [{"type": "Complete", "status": "True"}]},
         ["Complete", "2/2", "8s"]),
        ({"conditions": [{"type": "Suspended", "status": "True"}]}, ["Suspended", "0/2", ""]),
        ({"startTime": "1970-01-01T00:00:00Z"}, ["Running", "0/2", "0s"]),
    ],
)  # fmt: skip
def test_a_job_says_how_far_it_has_come(status: dict, shown: list[str]) -> None:
    row = cells("Job", {"metadata": {}, "spec": {"completions": 2}, "status": status})
    assert [row["Status"], row["Completions"], row["Duration"]] == shown


def test_an_autoscaler_shows_what_it_sees_and_what_it_wants() -> None:
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}
    spec["metrics"] = [{"type": "Resource", "resource": cpu}]
    blind = {"metadata": {}, "spec": spec, "status": {"currentMetrics": None}}
    assert cells("HorizontalPodAutoscaler", blind)["Targets"] == "cpu: <unknown>/60%"
    current = {"type": "Resource", "resource": {"name": "cpu", "current": {
        "averageUtilization": 12, "averageValue": "6m"}}}  # fmt: skip
    seeing = blind | {"status": {"currentMetrics": [current]}}
    assert cells("HorizontalPodAutoscaler", seeing)["Targets"] == "cpu: 12%/60%"
