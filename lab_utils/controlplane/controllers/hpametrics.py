"""How many pods a metric asks for: the arithmetic of autoscaling.

replicas = ceil(pods x use / target), unless use is within the tolerance. Hides which pods count:
those without a figure and those not ready yet are taken for what would scale least. Decides nothing
about limits or pace.
Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.objects import condition_of, is_terminating, name_of
from lab_utils.controlplane.quantities import canonical_quantity
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_go_duration, parse_rfc3339
from lab_utils.units import parse_quantity

_Values = dict[str, int]
"""Pod -> amount in thousandths of a core or byte."""
_UNSERVED = {
    "Pods": "custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
    "Object": "custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered",
    "External": "external metrics API: the server could not find the requested resource",
}


@dataclass(frozen=True)
class Trouble:
    """Why a metric says nothing."""

    reason: str
    message: str


@dataclass(frozen=True)
class Proposal:
    """What a metric asks for, its name in messages, and its entry in status.currentMetrics."""

    replicas: int
    name: str
    status: Object


@dataclass(frozen=True)
class Tolerance:
    """By how much use may differ from the target, as shares of it, before anything is done."""

    down: float
    up: float

    def covers(self, ratio: float) -> bool:
        """Tell whether a ratio of use to target is near enough to 1."""
        return 1 - self.down <= ratio <= 1 + self.up


@dataclass(frozen=True)
class Sight:
    """What autoscaling looks at: the pods, their PodMetrics by name, how many there shall be."""

    pods: list[Object]
    metrics: Mapping[str, Object]
    current: int
    tolerance: Tolerance
    config: ClusterConfig
    now: datetime


def propose(metric: Object, sight: Sight) -> Proposal | Trouble:
    """Say how many pods one of spec.metrics asks for."""
    kind = metric["type"]
    if kind in _UNSERVED:
        source = metric[kind.lower()]
        why = f"unable to get metric {source['metric']['name']}: unable to fetch metrics from "
        told = f"failed to get {kind.lower()} metric value: {why}{_UNSERVED[kind]}"
        return Trouble(f"FailedGet{kind}Metric", told)
    field = kind[0].lower() + kind[1:]
    source, reason = metric[field], f"FailedGet{kind}Metric"
    resource, target = source["name"], source["target"]
    is_share = "averageUtilization" in target
    what = f"failed to get {resource} {'utilization' if is_share else 'usage'}"
    try:
        replicas, current = _measure(source, sight)
    except _Unknown as exc:
        return Trouble(reason, f"{what}: {exc}")
    name = f"{resource} {'container ' if 'container' in source else ''}resource"
    name += " utilization (percentage of request)" if is_share else ""
    place = {key: source[key] for key in ("name", "container") if key in source}
    return Proposal(replicas, name, {"type": kind, field: {**place, "current": current}})


class _Unknown(Exception):
    """Why something cannot be known."""


def _measure(source: Object, sight: Sight) -> tuple[int, Object]:
    """Give the replicas asked for and the current value."""
    resource, container = source["name"], source.get("container", "")
    values = {
        pod: use for pod, one in sight.metrics.items()
        if (use := _use(one, resource, container)) is not None
    }  # fmt: skip
    if not values:
        why = "no metrics returned from resource metrics API"
        raise _Unknown(f"unable to get metrics for resource {resource}: {why}")
    group = _group(values, resource, sight)
    if not group.ready:
        raise _Unknown("did not receive metrics for targeted pods (pods might be unready)")
    mean = sum(group.ready.values()) // len(group.ready)
    current: Object = {"averageValue": canonical_quantity(f"{mean}m")}
    if "averageUtilization" not in source["target"]:
        return _replicas(group, _by_value(source["target"]["averageValue"]), sight), current
    asked, wanted = _requests(sight.pods, resource, container), source["target"]
    current["averageUtilization"] = _share(group.ready, asked)
    return _replicas(group, _by_share(wanted["averageUtilization"], asked), sight), current


def _use(metrics: Object, resource: str, container: str) -> int | None:
    """Sum the use of a pod's containers, or of the one that is meant."""
    parts = [one["usage"] for one in metrics["containers"] if container in ("", one["name"])]
    known = [usage[resource] for usage in parts if resource in usage]
    return sum(map(_milli, known)) if known else None


def _milli(quantity: str) -> int:
    return math.ceil(parse_quantity(quantity) * 1000)


def _requests(pods: list[Object], resource: str, container: str) -> _Values:
    asked: _Values = {}
    for pod in pods:
        for one in pod["spec"]["containers"]:
            if container not in ("", one["name"]):
                continue
            requests = (one.get("resources") or {}).get("requests") or {}
            if resource not in requests:
                where = f"in container {one['name']} of Pod {name_of(pod)}"
                raise _Unknown(f"missing request for {resource} {where}")
            asked[name_of(pod)] = asked.get(name_of(pod), 0) + _milli(requests[resource])
    return asked


def _share(used: _Values, asked: _Values) -> int:
    """Give use as a whole percentage of what was requested."""
    known = [pod for pod in used if pod in asked]
    whole = sum(asked[pod] for pod in known)
    if not whole:
        raise _Unknown("no metrics returned matched known pods")
    return sum(used[pod] for pod in known) * 100 // whole


@dataclass(frozen=True)
class _Group:
    """The pods by how far they count."""

    ready: _Values
    unready: list[str]
    missing: list[str]


def _group(values: _Values, resource: str, sight: Sight) -> _Group:
    ready: _Values = {}
    unready, missing = [], []
    for pod in sight.pods:
        name, phase = name_of(pod), (pod.get("status") or {}).get("phase")
        if is_terminating(pod) or phase in ("Failed", "Succeeded"):
            continue
        if phase == "Pending":
            unready.append(name)
        elif name not in values:
            missing.append(name)
        elif resource == "cpu" and _is_starting(pod, sight):
            unready.append(name)
        else:
            ready[name] = values[name]
    return _Group(ready, unready, missing)


def _is_starting(pod: Object, sight: Sight) -> bool:
    """Tell whether a pod's CPU use is that of its start: not ready yet, or only just."""
    ready, start = condition_of(pod, "Ready"), pod["status"].get("startTime")
    if ready is None or start is None:
        return True
    since, started = parse_rfc3339(ready["lastTransitionTime"]), parse_rfc3339(start)
    if started + timedelta(seconds=sight.config.hpa_cpu_initialization_s) > sight.now:
        measured = sight.metrics[name_of(pod)]
        window = timedelta(seconds=parse_go_duration(measured["window"]))
        return ready["status"] == "False" or parse_rfc3339(measured["timestamp"]) < since + window
    grace = timedelta(seconds=sight.config.hpa_initial_readiness_s)
    return ready["status"] == "False" and started + grace > since


@dataclass(frozen=True)
class _Ratio:
    """How use compares with the target, and what a pod without a figure is taken for."""

    of: Callable[[_Values], float]
    on_target: Callable[[str], int]


def _by_value(quantity: str) -> _Ratio:
    target = _milli(quantity)
    return _Ratio(lambda used: sum(used.values()) // len(used) / target, lambda _pod: target)


def _by_share(percentage: int, asked: _Values) -> _Ratio:
    return _Ratio(
        lambda used: _share(used, asked) / percentage,
        lambda pod: asked[pod] * max(100, percentage) // 100,
    )


def _replicas(group: _Group, ratio: _Ratio, sight: Sight) -> int:
    seen = ratio.of(group.ready)
    slow = group.unready if seen > 1 else []
    if not slow and not group.missing:
        return sight.current if sight.tolerance.covers(seen) else _ceil(seen, group.ready)
    assumed = dict(group.ready)
    if seen != 1:
        assumed |= {pod: ratio.on_target(pod) if seen < 1 else 0 for pod in group.missing}
    assumed |= dict.fromkeys(slow, 0)
    cautious = ratio.of(assumed)
    replicas = _ceil(cautious, assumed)
    turned = (seen - 1) * (cautious - 1) < 0 or (replicas - sight.current) * (cautious - 1) < 0
    return sight.current if sight.tolerance.covers(cautious) or turned else replicas


def _ceil(ratio: float, pods: _Values) -> int:
    return math.ceil(ratio * len(pods))
