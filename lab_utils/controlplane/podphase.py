"""A pod's state in one word, as `kubectl get pods` has it: `Running`, `Init:0/1`, `Error`.

Source: printPod in
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go
"""

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import human_duration, parse_rfc3339

_TERMINAL = ("Succeeded", "Failed")


def pod_status(pod: Object, _now: float) -> str:
    """Give the Status column."""
    ended = pod.get("status", {}).get("phase") in _TERMINAL
    if "deletionTimestamp" in pod["metadata"] and not ended:
        return "Terminating"
    return _init_reason(pod) or _main_reason(pod)


def _init_reason(pod: Object) -> str:
    """Say which init container is not done yet; "" when all are."""
    if _has_condition(pod, "Initialized"):
        return ""
    total = len(pod["spec"].get("initContainers", ()))
    for i, container in enumerate(pod.get("status", {}).get("initContainerStatuses", ())):
        state = container.get("state", {})
        ended, waiting = state.get("terminated"), state.get("waiting", {}).get("reason")
        if ended and not ended["exitCode"]:
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


def pod_ready(pod: Object, _now: float) -> str:
    """Give the Ready column: `1/2`."""
    statuses = pod.get("status", {}).get("containerStatuses", ())
    ready = sum(one["ready"] for one in statuses if "running" in one.get("state", {}))
    return f"{ready}/{len(pod['spec']['containers'])}"


def pod_restarts(pod: Object, now: float) -> str:
    """Give the Restarts column: `5 (47s ago)`; of the init containers until they are done."""
    status = pod.get("status", {})
    part = "initContainerStatuses" if _init_reason(pod) else "containerStatuses"
    counted = status.get(part, ())
    restarts = sum(one.get("restartCount", 0) for one in counted)
    ends = [one.get("lastState", {}).get("terminated", {}).get("finishedAt") for one in counted]
    last = max(filter(None, ends), default="")
    if not restarts or not last:
        return str(restarts)
    return f"{restarts} ({human_duration(now - parse_rfc3339(last).timestamp())} ago)"
