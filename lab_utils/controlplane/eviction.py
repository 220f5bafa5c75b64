"""Whether a pod may be evicted: the budgets that select it have the last word.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""

import copy
from collections.abc import Sequence
from datetime import datetime

from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import rfc3339

_REFUSAL = "Cannot evict pod as it would violate the pod's disruption budget."


def guarding_budget(pod: Object, budgets: Sequence[Object]) -> Object | None:
    """Find the budget that an eviction of the pod has to be charged to; None where none counts it.

    Raises:
        ApiError: 500, more than one budget selects the pod.
    """
    if "deletionTimestamp" in pod["metadata"]:
        return None
    if pod.get("status", {}).get("phase") in ("Pending", "Succeeded", "Failed"):
        return None
    labels = pod["metadata"].get("labels")
    guards = [one for one in budgets if label_selector(one["spec"].get("selector")).matches(labels)]
    if len(guards) > 1:
        why = "This pod has more than one PodDisruptionBudget, which the eviction subresource"
        raise ApiError(500, "", f"{why} does not support.")
    if not guards or _is_broken_anyway(pod, guards[0]):
        return None
    return guards[0]


def _is_broken_anyway(pod: Object, budget: Object) -> bool:
    """Tell whether a pod that is not ready may go: it adds nothing to what the budget protects."""
    conditions = pod.get("status", {}).get("conditions", ())
    if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    desired = status.get("desiredHealthy", 0)
    return bool(desired > 0 and status.get("currentHealthy", 0) >= desired)


def charge(budget: Object, pod: str, now: datetime) -> Object:
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
    charged = copy.deepcopy(budget)
    charged["status"]["disruptionsAllowed"] -= 1
    charged["status"].setdefault("disruptedPods", {})[pod] = rfc3339(now)
    return charged


def _refused(why: str, retry_after_s: int = 0) -> ApiError:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    details |= {"retryAfterSeconds": retry_after_s} if retry_after_s else {}
    return ApiError(429, "TooManyRequests", _REFUSAL, details=details)


def mark_target(pod: Object, now: datetime) -> Object:
    """Give the pod with the condition that says why it goes."""
    marked = copy.deepcopy(pod)
    conditions = marked.setdefault("status", {}).setdefault("conditions", [])
    conditions.append(
        {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": rfc3339(now),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
    )
    return marked
