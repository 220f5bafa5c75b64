"""A pod's state in one word, as `kubectl get pods` has it: `Running`, `Init:0/1`, `Error`.

Source: printPod in
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import human_duration, parse_rfc3339

_TERMINAL = ("Succeeded", "Failed")


def pod_status(pod: Object) -> str:
    """Give the word of the Status column."""
    status = pod.get("status", {})
    reason = _init_reason(pod) or _main_reason(pod)
    if "deletionTimestamp" in pod["metadata"]:
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in _TERMINAL:
            return "Terminating"
    return reason


def _sidecars(pod: Object) -> set[str]:
    inits = pod["spec"].get("initContainers", ())
    return {one["name"] for one in inits if one.get("restartPolicy") == "Always"}


def _init_reason(pod: Object) -> str:
    """Say which init container is not done yet; "" when all are."""
    if _has_condition(pod, "Initialized"):
        return ""
    sidecars, total = _sidecars(pod), len(pod["spec"].get("initContainers", ()))
    for i, container in enumerate(pod.get("status", {}).get("initContainerStatuses", ())):
        state = container.get("state", {})
        ended, waiting = state.get("terminated"), state.get("waiting", {}).get("reason")
        if ended and not ended["exitCode"]:
            continue
        if container["name"] in sidecars and container.get("started"):
            continue
        if ended:
            return f"Init:{_end_reason(ended)}"
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{i}/{total}"
    return ""


def _main_reason(pod: Object) -> str:
    status = pod.get("status", {})
    reason = str(status.get("reason") or status.get("phase") or "")
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    running = False
    for container in reversed(status.get("containerStatuses", ())):
        state = container.get("state", {})
        if state.get("waiting", {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            reason = _end_reason(state["terminated"])
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        return "Running" if _has_condition(pod, "Ready") else "NotReady"
    return reason


def _end_reason(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended['exitCode']}"


def _has_condition(pod: Object, kind: str) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


def _counted(pod: Object) -> Iterator[Object]:
    """Give the statuses of the containers that are meant to stay: main ones and sidecars."""
    status, sidecars = pod.get("status", {}), _sidecars(pod)
    for container in status.get("initContainerStatuses", ()):
        if container["name"] in sidecars or _init_reason(pod):
            yield container
    yield from status.get("containerStatuses", ())


def pod_ready(pod: Object, _now: float) -> str:
    """Give the Ready column: `1/2`."""
    statuses = [one for one in _counted(pod) if "running" in one.get("state", {})]
    sidecars = _sidecars(pod)
    mains = {one["name"] for one in pod["spec"]["containers"]}
    ready = sum(one["ready"] for one in statuses if one["name"] in mains | sidecars)
    return f"{ready}/{len(mains) + len(sidecars)}"


def pod_restarts(pod: Object, now: float) -> str:
    """Give the Restarts column: `5 (47s ago)`."""
    restarts, last = 0, ""
    for container in _counted(pod):
        restarts += container.get("restartCount", 0)
        ended = container.get("lastState", {}).get("terminated", {}).get("finishedAt") or ""
        last = max(last, ended)
    if not restarts or not last:
        return str(restarts)
    return f"{restarts} ({human_duration(now - parse_rfc3339(last).timestamp())} ago)"
