"""Kinds that are served in a second version: the same objects in another shape.

Pure. Only the API's routes know of it; store, controllers and registry see the stored version.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
and the conversions of k8s.io/kubernetes/pkg/apis/{core,autoscaling}.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from lab_utils.controlplane.kinds import BY_NAME, Kind
from lab_utils.controlplane.parsing import Unreadable, read_json
from lab_utils.controlplane.status import Cause, Object, invalid
from lab_utils.controlplane.validation import causes

Conversion = Callable[[Object], Object]


def shown(row: Kind, obj: Object) -> Object:
    """Give a stored object in the version of a row; parts of it are shared."""
    return _converted(row, _FROM_STORED[row.api_version](obj)) if row.is_view else obj


def stored(row: Kind, obj: Object) -> Object:
    """Give an object of the version of a row as it is stored; parts of it are shared."""
    return _converted(BY_NAME[row.name], _TO_STORED[row.api_version](obj)) if row.is_view else obj


def _converted(row: Kind, obj: Object) -> Object:
    return {"kind": row.name, "apiVersion": row.api_version} | obj | {"apiVersion": row.api_version}


def check_new(row: Kind, obj: Object) -> None:
    """Refuse what only this version of a kind refuses in a new object (422)."""
    found = [*_check_event(obj)] if row.is_view and row.name == "Event" else []
    if found:
        raise invalid("", row.name, obj.get("metadata", {}).get("name", ""), found)


_EVENT_FIELDS = {
    "involvedObject": "regarding", "message": "note", "reportingComponent": "reportingController",
    "source": "deprecatedSource", "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount",
}  # fmt: skip
_STORED_EVENT_FIELDS = {new: old for old, new in _EVENT_FIELDS.items()}


def _renamed(names: Mapping[str, str]) -> Conversion:
    return lambda obj: {names.get(field, field): value for field, value in obj.items()}


def _check_event(event: Object) -> Iterator[Cause]:
    if not event.get("eventTime"):
        yield causes.required("eventTime")
    if event.get("type") not in ("Normal", "Warning"):
        yield causes.invalid("type", "", f"has invalid value: {event.get('type', '')}")
    for old in ("firstTimestamp", "lastTimestamp", "count", "source"):
        if event.get(old):
            yield causes.invalid(old, "", "needs to be unset")


# What autoscaling/v1 has no field for travels in annotations.
_PREFIX = "autoscaling.alpha.kubernetes.io/"
_IN_ANNOTATIONS = ("metrics", "behavior")


def _autoscaler_to_v1(obj: Object) -> Object:
    spec = dict(obj.get("spec", {}))
    status = {"currentReplicas": 0, "desiredReplicas": 0} | obj.get("status", {})
    annotations = dict(obj["metadata"].get("annotations", {}))
    metrics = spec.pop("metrics", [])
    target = _cpu(metrics, "target")
    if target is not None:
        spec["targetCPUUtilizationPercentage"] = target
        metrics = metrics[1:]
    used = _cpu(status.pop("currentMetrics", None) or [], "current")
    status |= {} if used is None else {"currentCPUUtilizationPercentage": used}
    status.pop("conditions", None)
    for field, value in zip(_IN_ANNOTATIONS, (metrics, spec.pop("behavior", None)), strict=True):
        if value:
            annotations[_PREFIX + field] = json.dumps(value, separators=(",", ":"))
    metadata = obj["metadata"] | ({"annotations": annotations} if annotations else {})
    return obj | {"metadata": metadata, "spec": spec, "status": status}


def _cpu(metrics: list[Object], side: str) -> int | None:
    """Give the share of CPU in the first metric; None where that is about something else."""
    resource = metrics[0].get("resource", {}) if metrics else {}
    used: int | None = resource.get(side, {}).get("averageUtilization")
    return used if resource.get("name") == "cpu" else None


def _autoscaler_to_v2(obj: Object) -> Object:
    spec, metadata = dict(obj.get("spec", {})), dict(obj.get("metadata", {}))
    annotations = dict(metadata.pop("annotations", {}))
    for field in _IN_ANNOTATIONS:
        kept = _parsed(annotations.pop(_PREFIX + field, ""))
        spec |= {field: kept} if kept else {}
    used = spec.pop("targetCPUUtilizationPercentage", None)
    if used is not None:
        target = {"type": "Utilization", "averageUtilization": used}
        cpu = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
        spec["metrics"] = [cpu, *spec.get("metrics", ())]
    metadata |= {"annotations": annotations} if annotations else {}
    return {key: value for key, value in obj.items() if key != "status"} | {
        "metadata": metadata,
        "spec": spec,
    }


def _parsed(text: str) -> object:
    try:
        return read_json(text.encode()) if text else None
    except Unreadable:
        return None


_FROM_STORED: Mapping[str, Conversion] = MappingProxyType({
    "events.k8s.io/v1": _renamed(_EVENT_FIELDS), "autoscaling/v1": _autoscaler_to_v1,
})  # fmt: skip
_TO_STORED: Mapping[str, Conversion] = MappingProxyType({
    "events.k8s.io/v1": _renamed(_STORED_EVENT_FIELDS), "autoscaling/v1": _autoscaler_to_v2,
})  # fmt: skip
