"""The status of a pod against what a real kubelet reported in the same state."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab_utils.controlplane.kubelet.podstatus import PodFacts, pod_status
from lab_utils.controlplane.kubelet.records import ContainerRecord, new_records

RECORDINGS = sorted(Path(__file__).parents[3].joinpath("reference/podstatus").glob("*.json"))
Json = dict[str, Any]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_status_is_what_a_real_kubelet_reported(path: Path) -> None:
    recorded = json.loads(path.read_text())
    status: Json = recorded["status"]
    terminal = status["phase"] in ("Succeeded", "Failed")
    facts = PodFacts(
        now=status["startTime"],
        node_ip=status["hostIP"],
        pod_ip=status.get("podIP", ""),
        has_network=terminal or status["conditions"][-5]["status"] == "True",
        terminal=terminal,
        failure=(status["reason"], status["message"]) if "reason" in status else None,
    )
    assert pod_status(_pod(status), _records(status), facts) == status


def test_an_unchanged_condition_keeps_its_time_and_others_are_kept() -> None:
    pod: Json = {"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    record = ContainerRecord(pod["spec"]["containers"][0], state={"running": {}}, ready=True)
    pod["status"] = pod_status(pod, [record], PodFacts("then", "127.64.2.1"))
    pod["status"]["conditions"].insert(0, {"type": "DisruptionTarget", "status": "True"})
    later = pod_status(pod, [record], PodFacts("now", "127.64.2.1", has_network=True))
    times = {c["type"]: c.get("lastTransitionTime") for c in later["conditions"]}
    assert times["Ready"] == "then"
    assert times["PodReadyToStartContainers"] == "now"
    assert "DisruptionTarget" in times


def test_a_container_of_an_earlier_boot_is_unknown() -> None:
    pod = {"spec": {"containers": [{"name": "c", "image": "i"}]}}
    (record,) = new_records(pod)
    old = {"restartCount": 2, "state": {"running": {"startedAt": "a"}}, "containerID": "x"}
    assert record.restore(old)
    assert record.state["terminated"]["exitCode"] == 255
    assert record.restart_count == 2


def _pod(status: Json) -> Json:
    """Rebuild what the status does not say from what it does."""
    containers = [_spec(c, status) for c in status["containerStatuses"]]
    init = [_spec(c, {}) for c in status.get("initContainerStatuses", [])]
    return {
        "metadata": {"generation": status["observedGeneration"]},
        "spec": {"containers": containers, "initContainers": init},
        "status": status,
    }


def _spec(container: Json, pod_status: Json) -> Json:
    resources = container.get("resources", pod_status.get("resources", {}))
    return {"name": container["name"], "image": container["image"], "resources": resources}


def _records(status: Json) -> list[ContainerRecord]:
    init = [(c, True) for c in status.get("initContainerStatuses", [])]
    return [
        _record(c, is_init, status)
        for c, is_init in [*init, *((c, False) for c in status["containerStatuses"])]
    ]


def _record(container: Json, is_init: bool, status: Json) -> ContainerRecord:
    state = container["state"]
    if state.get("terminated", {}).get("reason") == "ContainerStatusUnknown":
        state = {"waiting": {"reason": "ContainerCreating"}}
    return ContainerRecord(
        spec=_spec(container, {} if is_init else status),
        is_init=is_init,
        state=state,
        last_state=container["lastState"],
        ready=container["ready"],
        started=container["started"],
        restart_count=container["restartCount"],
        image=container["image"],
        image_id=container["imageID"],
        container_id=container.get("containerID", ""),
        uid=container.get("user", {}).get("linux", {}).get("uid"),
    )
