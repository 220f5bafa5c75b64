"""What a subresource makes of its object: a pod bound or evicted, a workload scaled.

Pure rules; the registry reads and writes.
Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/binding-v1/,
https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ and the Scale kind.
"""

import copy
from collections.abc import Sequence
from datetime import datetime

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import ApiError, Cause, Object, conflict, invalid
from lab_utils.controlplane.timestamps import rfc3339

_IN_SCALE = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def bound(pod: Object, node: str, now: datetime) -> Object:
    """Give a pod with its node: the one write of a scheduler.

    Raises:
        ApiError: 409, it has one or is being deleted.
    """
    name, why = pod["metadata"]["name"], ""
    if "deletionTimestamp" in pod["metadata"]:
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
    if why:
        raise conflict("", "pods/binding", name, why)
    new = _with_condition(pod, {"type": "PodScheduled"}, now)
    new["spec"]["nodeName"] = node
    return new


def evicted(pod: Object, now: datetime) -> Object:
    """Give a pod with the condition that says why it goes."""
    why = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
    return _with_condition(pod, {"type": "DisruptionTarget"} | why, now)


def _with_condition(pod: Object, condition: Object, now: datetime) -> Object:
    new = copy.deepcopy(pod)
    status = new.setdefault("status", {})
    others = [one for one in status.get("conditions", ()) if one["type"] != condition["type"]]
    times = {"lastProbeTime": None, "lastTransitionTime": rfc3339(now)}
    status["conditions"] = [*others, condition | {"status": "True"} | times]
    return new


def guarding_budget(pod: Object, budgets: Sequence[Object]) -> Object | None:
    """Find the budget that an eviction of the pod has to be charged to; None where none counts it.

    Raises:
        ApiError: 500, more than one budget selects the pod.
    """
    phase = pod.get("status", {}).get("phase")
    if "deletionTimestamp" in pod["metadata"] or phase in ("Pending", "Succeeded", "Failed"):
        return None
    labels = pod["metadata"].get("labels")
    guards = [one for one in budgets if label_selector(one["spec"].get("selector")).matches(labels)]
    if len(guards) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource"
        raise ApiError(500, "", f"{why} does not support.")
    return guards[0] if guards and not _is_broken_anyway(pod, guards[0]) else None


def _is_broken_anyway(pod: Object, budget: Object) -> bool:
    """Tell whether a pod that is not ready may go: it adds nothing to what the budget protects."""
    conditions = pod.get("status", {}).get("conditions", ())
    if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    return bool(status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0)


def charged(budget: Object, pod: str, now: datetime) -> Object:
    """Give the budget with one disruption less to allow.

    Raises:
        ApiError: 429, it allows none, or its controller has not seen its last change.
    """
    name, status = budget["metadata"]["name"], budget.get("status", {})
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", 10)
    if status.get("disruptionsAllowed", 0) < 1:
        raise _refused(
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods "
            f"and has {status.get('currentHealthy', 0)} currently"
        )
    new = copy.deepcopy(budget)
    new["status"]["disruptionsAllowed"] -= 1
    new["status"].setdefault("disruptedPods", {})[pod] = rfc3339(now)
    return new


def _refused(why: str, retry_after_s: int = 0) -> ApiError:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    details |= {"retryAfterSeconds": retry_after_s} if retry_after_s else {}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", message, details=details)


def scale_of(workload: Object) -> Object:
    """Show a workload as a Scale."""
    metadata, spec = workload["metadata"], workload["spec"]
    labels = spec.get("selector", {}).get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in _IN_SCALE if field in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": workload.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{k}={v}" for k, v in sorted(labels.items())),
        },
    }


def scaled(row: Kind, workload: Object, scale: Object) -> Object:
    """Give the workload with the replicas of a Scale (422, they are negative)."""
    replicas = scale.get("spec", {}).get("replicas", 0)
    if replicas < 0:
        why = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("FieldValueInvalid", why, "spec.replicas")
        raise invalid("autoscaling", "Scale", workload["metadata"]["name"], [cause])
    new = copy.deepcopy(workload)
    new["spec"]["replicas"] = replicas
    version = scale.get("metadata", {}).get("resourceVersion")
    new["metadata"]["resourceVersion"] = version or new["metadata"]["resourceVersion"]
    return new
