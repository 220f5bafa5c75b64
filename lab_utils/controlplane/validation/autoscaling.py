"""Which HorizontalPodAutoscalers are right.

Source:
    k8s.io/kubernetes/pkg/apis/autoscaling/validation (validation.go), whose texts these are.
"""

from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes
from lab_utils.controlplane.validation.checks import Rows, any_value, needed, number, one_of
from lab_utils.units import parse_quantity

_METRIC_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_TARGET_TYPES = ("Utilization", "Value", "AverageValue")
_NO_TARGET = {
    "Resource": ("averageUtilization",
                 "must set either a target raw value or a target utilization"),
    "ContainerResource": ("averageUtilization",
                          "must set either a target raw value or a target utilization"),
    "Pods": ("averageValue", "must specify a positive target averageValue"),
    "Object": ("averageValue", "must set either a target value or averageValue"),
    "External": ("averageValue",
                 "must set either a target value for metric or a per-pod target"),
}  # fmt: skip


def _max_replicas(value: int | None, at: str) -> Iterator[Cause]:
    if (value or 0) < 1:
        yield causes.required(at, "must be set and greater than 0")


def _autoscaler(spec: Object, at: str) -> Iterator[Cause]:
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if most < least:
        why = "must be greater than or equal to `minReplicas`"
        yield causes.invalid(f"{at}.maxReplicas", most, why)
    kinds = {metric.get("type") for metric in spec.get("metrics") or ()}
    if least == 0 and not kinds & {"Object", "External"}:
        why = "must specify at least one Object or External metric"
        yield causes.forbidden(f"{at}.metrics", f"{why} to support scaling to zero replicas")


def _target_version(value: str | None, at: str) -> Iterator[Cause]:
    if not value:
        yield causes.invalid(at, "", "apiVersion must specify API group")


def _metric(metric: Object, at: str) -> Iterator[Cause]:
    """Check that a metric has the one source its type names, and that source a target."""
    kind = metric.get("type", "")
    if not kind:
        yield causes.required(f"{at}.type", "must specify a metric source type")
    if kind not in _METRIC_TYPES:
        yield from [causes.unsupported(f"{at}.type", kind, _METRIC_TYPES)] * 2
        return
    name = kind[0].lower() + kind[1:]
    if name not in metric:
        why = "must populate information for the given metric source"
        yield causes.required(f"{at}.{name}", why)
        return
    for other in sorted(set(metric) - {"type", name}):
        yield causes.forbidden(f"{at}.{other}", "must populate the given metric source only")
    if kind.endswith("Resource") and not metric[name].get("name"):
        yield causes.required(f"{at}.{name}.name", "must specify a resource name")
    yield from _target(kind, metric[name].get("target", {}), f"{at}.{name}.target")


def _target(kind: str, target: Object, at: str) -> Iterator[Cause]:
    if not target.get("type"):
        yield causes.required(f"{at}.type", "must specify a metric target type")
    if target.get("type") not in _TARGET_TYPES:
        why = "must be either Utilization, Value, or AverageValue"
        yield causes.invalid(f"{at}.type", target.get("type", ""), why)
    for name in ("value", "averageValue"):
        if name in target and parse_quantity(target[name]) <= 0:
            yield causes.invalid(f"{at}.{name}", target[name], "must be positive")
    if target.get("averageUtilization", 1) < 1:
        used = target["averageUtilization"]
        yield causes.invalid(f"{at}.averageUtilization", used, "must be greater than 0")
    field, why = _NO_TARGET[kind]
    alternatives = {"averageValue", "averageUtilization" if "Utilization" in field else "value"}
    if not alternatives & set(target):
        yield causes.required(f"{at}.{field}", why)
    if kind.endswith("Resource") and {"averageValue", "averageUtilization"} <= set(target):
        why = "may not set both a target raw value and a target utilization"
        yield causes.forbidden(f"{at}.averageValue", why)


def _policies(policies: list[Any] | None, at: str) -> Iterator[Cause]:
    if not policies:
        yield causes.required(at, "must specify at least one Policy")


def _between(low: int, high: int, too_low: str) -> Any:
    def run(value: int | None, at: str) -> Iterator[Cause]:
        if value is None or value < low:
            yield causes.invalid(at, value or 0, too_low)
        elif value > high:
            yield causes.invalid(at, value, f"must be less than or equal to {high}")

    return run


def _window(value: int | None, at: str) -> Iterator[Cause]:
    rule = _between(0, 3600, "must be greater than or equal to zero")
    return iter(()) if value is None else rule(value, at)


def _path_segment(value: str, at: str) -> Iterator[Cause]:
    for part in "/%":
        if part in value:
            yield causes.invalid(at, value, f"may not contain '{part}'")


AUTOSCALING: Rows = {
    "V2HorizontalPodAutoscalerSpec": {
        "minReplicas": number(1, "must be greater than or equal to 1"),
        "maxReplicas": _max_replicas, "": _autoscaler, "scaleTargetRef": any_value,
        "metrics": any_value, "behavior": any_value,
    },
    "V2CrossVersionObjectReference": {
        "kind": needed(_path_segment), "name": needed(_path_segment), "apiVersion": _target_version,
    },
    "V2MetricSpec": {"": _metric},
    "V2HPAScalingRules": {
        "stabilizationWindowSeconds": _window,
        "selectPolicy": one_of("Disabled", "Max", "Min"), "policies": _policies,
    },
    "V2HPAScalingPolicy": {
        "type": one_of("Percent", "Pods", absent=""),
        "value": _between(1, 2**31, "must be greater than zero"),
        "periodSeconds": _between(1, 1800, "must be greater than zero"),
    },
}  # fmt: skip
