"""The one write of a scheduler: a pod gets its node, once.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/binding-v1/
"""

import copy
from datetime import datetime

from lab_utils.controlplane.status import Object, conflict
from lab_utils.controlplane.timestamps import rfc3339


def bound(pod: Object, node: str, now: datetime) -> Object:
    """Give a pod with its node.

    Raises:
        ApiError: 409, it has one or is being deleted.
    """
    name = pod["metadata"]["name"]
    if "deletionTimestamp" in pod["metadata"]:
        why = f"pod {name} is being deleted, cannot be assigned to a host"
        raise conflict("", "pods/binding", name, why)
    if pod["spec"].get("nodeName"):
        why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        raise conflict("", "pods/binding", name, why)
    new = copy.deepcopy(pod)
    new["spec"]["nodeName"] = node
    status = new.setdefault("status", {})
    others = [one for one in status.get("conditions", ()) if one["type"] != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
    status["conditions"] = [*others, scheduled | {"lastTransitionTime": rfc3339(now)}]
    return new
