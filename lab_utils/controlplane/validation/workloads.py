"""Which Deployments, ReplicaSets and disruption budgets are right.

Source:
    k8s.io/kubernetes/pkg/apis/apps/validation and pkg/apis/policy/validation
"""

from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.metadata import selector_causes
from lab_utils.controlplane.validation.pods import template_causes


def replica_set_causes(new: Object) -> Iterator[Cause]:
    """Check a ReplicaSet."""
    spec = new.get("spec", {})
    for name in ("replicas", "minReadySeconds"):
        yield from causes.at_least_zero(f"spec.{name}", spec.get(name))
    yield from _workload_causes("ReplicaSet", new)


def deployment_causes(new: Object) -> Iterator[Cause]:
    """Check a Deployment."""
    spec = new.get("spec", {})
    yield from causes.at_least_zero("spec.replicas", spec.get("replicas"))
    yield from _workload_causes("Deployment", new)
    yield from _strategy_causes(spec.get("strategy", {}))
    ready_s, deadline_s = spec.get("minReadySeconds", 0), spec.get("progressDeadlineSeconds")
    yield from causes.at_least_zero("spec.minReadySeconds", ready_s)
    yield from causes.at_least_zero("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    if deadline_s is not None:
        yield from causes.at_least_zero("spec.progressDeadlineSeconds", deadline_s)
        if deadline_s <= ready_s:
            why = "must be greater than minReadySeconds"
            yield causes.invalid("spec.progressDeadlineSeconds", deadline_s, why)


def _workload_causes(kind: str, new: Object) -> Iterator[Cause]:
    """Check selector and template, which Deployment and ReplicaSet have in common."""
    spec = new.get("spec", {})
    selector, template = spec.get("selector"), spec.get("template", {})
    labels = template.get("metadata", {}).get("labels")
    unusable = False
    if selector is None:
        yield causes.required("spec.selector")
    else:
        bad = list(selector_causes(selector, "spec.selector"))
        yield from bad
        unusable = any("matchExpressions" in cause.field for cause in bad)
        if not selector:
            why = f"empty selector is invalid for {kind.lower()}"
            yield causes.invalid("spec.selector", {}, why)
    if unusable:
        yield causes.invalid("spec.selector", selector, "invalid label selector")
        return
    if selector is None or not label_selector(selector).matches(labels):
        why = "`selector` does not match template `labels`"
        yield causes.invalid("spec.template.metadata.labels", labels, why)
    yield from template_causes(template, "spec.template")
    pod = template.get("spec", {})
    if pod.get("restartPolicy", "Always") != "Always":
        field = "spec.template.spec.restartPolicy"
        yield causes.unsupported(field, pod["restartPolicy"], ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield causes.forbidden("spec.template.spec.activeDeadlineSeconds", why)


def _strategy_causes(strategy: Object) -> Iterator[Cause]:
    field, kind, rolling = "spec.strategy", strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate" and rolling is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        yield causes.forbidden(f"{field}.rollingUpdate", why)
    elif kind == "RollingUpdate":
        yield from _rolling_update_causes(rolling or {}, f"{field}.rollingUpdate")
    elif kind != "Recreate":
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield causes.unsupported(field, shown, ("Recreate", "RollingUpdate"))


def _rolling_update_causes(rolling: Object, field: str) -> Iterator[Cause]:
    surge, unavailable = rolling.get("maxSurge", 0), rolling.get("maxUnavailable", 0)
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        yield from _share_causes(value, f"{field}.{name}", capped=name == "maxUnavailable")
    if surge in (0, "0%") and unavailable in (0, "0%"):
        why = "may not be 0 when `maxSurge` is 0"
        yield causes.invalid(f"{field}.maxUnavailable", unavailable, why)


def _share_causes(value: Any, field: str, *, capped: bool = True) -> Iterator[Cause]:
    """Check a number of pods or a percentage of them."""
    if isinstance(value, str):
        problems = formats.percent(value)
        yield from causes.each_invalid(field, value, problems)
        if not problems and capped and int(value[:-1]) > 100:
            yield causes.invalid(field, value, "must not be greater than 100%")
    else:
        yield from causes.at_least_zero(field, value)


def selector_is_immutable(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse a change of a workload's selector."""
    selector = new.get("spec", {}).get("selector")
    if selector != old.get("spec", {}).get("selector"):
        yield causes.immutable("spec.selector", selector)


def deployment_update_causes(new: Object, old: Object) -> Iterator[Cause]:
    """Check a change of a Deployment: its selector, and the counts in its status."""
    yield from selector_is_immutable(new, old)
    status = new.get("status", {})
    replicas = status.get("replicas", 0)
    yield from causes.at_least_zero("status.replicas", replicas)
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > replicas:
            why = "cannot be greater than status.replicas"
            yield causes.invalid(f"status.{name}", status.get(name, 0), why)


def budget_causes(new: Object) -> Iterator[Cause]:
    """Check a PodDisruptionBudget."""
    spec = new.get("spec", {})
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = {"MinAvailable": least, "Selector": spec.get("selector"), "MaxUnavailable": most,
                 "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")}  # fmt: skip
        why = "minAvailable and maxUnavailable cannot be both set"
        yield causes.invalid("spec", shown, why)
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            yield from _share_causes(spec[name], f"spec.{name}")
    yield from selector_causes(spec.get("selector", {}), "spec.selector")
    field, policies = "spec.unhealthyPodEvictionPolicy", ("AlwaysAllow", "IfHealthyBudget")
    yield from causes.choice(field, spec.get("unhealthyPodEvictionPolicy"), policies)
