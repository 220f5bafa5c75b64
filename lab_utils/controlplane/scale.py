"""The `scale` subresource: one small object in front of every workload that has replicas."""

import copy

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.status import Cause, Object, bad_request, invalid

_KEPT = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(workload: Object) -> Object:
    """Show a workload as a Scale."""
    metadata, spec = workload["metadata"], workload["spec"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: metadata[field] for field in _KEPT if field in metadata},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {
            "replicas": workload.get("status", {}).get("replicas", 0),
            "selector": _as_text(spec.get("selector", {})),
        },
    }


def _as_text(selector: Object) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(selector.get("matchLabels", {}).items()))


def scaled(row: Kind, workload: Object, scale: Object) -> Object:
    """Give the workload with the replicas of a Scale.

    Raises:
        ApiError: 400, replicas is no whole number; 422, it is negative.
    """
    replicas = scale.get("spec", {}).get("replicas", 0)
    if type(replicas) is not int:
        raise bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal '
            f"{type(replicas).__name__} into Go struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        why = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("FieldValueInvalid", why, "spec.replicas")
        raise invalid("autoscaling", "Scale", workload["metadata"]["name"], [cause])
    new = copy.deepcopy(workload)
    new["spec"]["replicas"] = replicas
    version = scale.get("metadata", {}).get("resourceVersion")
    new["metadata"]["resourceVersion"] = version or new["metadata"]["resourceVersion"]
    return new
