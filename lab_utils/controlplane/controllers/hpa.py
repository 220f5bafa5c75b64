"""HorizontalPodAutoscaler: as many pods as their use asks for, every 15 s.

Hides what is told when something cannot be known. How many pods a metric asks for is
`hpametrics.py`, how fast and how far to go `hpalimits.py`. Scales what it means through the scale
subresource; never touches a pod.
Source: https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lab_utils.controlplane.controllers.actions import (
    Action,
    Emit,
    Note,
    Requeue,
    Update,
    write_status,
)
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.hpalimits import Behavior, History
from lab_utils.controlplane.controllers.hpametrics import (
    Proposal,
    Sight,
    Tolerance,
    Trouble,
    propose,
)
from lab_utils.controlplane.controllers.objects import name_of, set_condition, stamped
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339, rfc3339_micro
from lab_utils.units import parse_quantity

NAME = "horizontal-pod-autoscaler"
_EARLY_S = 0.05
"""A timer that is early by less than this is not early."""


@dataclass
class _Look:
    """One look at an autoscaler: what it means, what it does, what it says of itself."""

    hpa: Object
    world: World
    now: datetime
    history: History
    actions: list[Action] = field(default_factory=list)
    current: int = 0
    metrics: list[Object] | None = None
    has_target: bool = True

    @property
    def spec(self) -> Object:
        """Give the spec."""
        spec: Object = self.hpa["spec"]
        return spec

    def say(self, kind: str, *, holds: bool, reason: str, message: str) -> None:
        """Set a condition."""
        told = {"type": kind, "status": str(holds), "reason": reason, "message": message}
        self.hpa = set_condition(self.hpa, stamped(self.hpa, told, self.now))

    def tell(self, kind: str, reason: str, message: str) -> None:
        """Record an Event."""
        self.actions.append(Emit(self.hpa, kind, reason, message, NAME))


def reconcile(hpa: Object, world: World, now: datetime) -> list[Action]:
    """Look at the pods' use once in a period, and scale."""
    notes, period_s = world.noted(NAME, hpa), world.config.hpa_sync_period_s
    last = parse_rfc3339(notes.get("synced") or hpa["metadata"]["creationTimestamp"])
    early_s = (last + timedelta(seconds=period_s) - now).total_seconds()
    if early_s > _EARLY_S:
        return [Requeue(min(early_s, period_s))]
    look = _Look(hpa, world, now, History.read(notes))
    before = hpa.get("status")
    desired = _scale(look)
    status = _status(look, before or {}, desired)
    synced = {"synced": rfc3339_micro(now)} | look.history.write(now)
    written = write_status(hpa, status)
    return [*look.actions, *written, Note(NAME, hpa, synced), Requeue(period_s)]


def _scale(look: _Look) -> int | None:
    """Scale the target; give how many pods are wanted, None if that cannot be said."""
    target = _target(look)
    if target is None:
        look.has_target = False
        return None
    able = "the HPA controller was able to get the target's current scale"
    look.say("AbleToScale", holds=True, reason="SucceededGetScale", message=able)
    look.current = current = target["spec"]["replicas"]
    if not look.history.recommended:
        look.history = look.history.with_recommendation(current, look.now)
    least, most = look.spec.get("minReplicas", 1), look.spec["maxReplicas"]
    if current == 0:
        off = "scaling is disabled since the replica count of the target is zero"
        look.say("ScalingActive", holds=False, reason="ScalingDisabled", message=off)
        return 0
    if current > most:
        return _resize(look, target, most, "Current number of replicas above Spec.MaxReplicas")
    if current < least:
        return _resize(look, target, least, "Current number of replicas below Spec.MinReplicas")
    return _follow_metrics(look, target)


def _target(look: _Look) -> Object | None:
    """Find what is to be scaled, or say why not."""
    wanted = look.spec["scaleTargetRef"]
    group = wanted.get("apiVersion", "").rpartition("/")[0]
    row = BY_NAME.get(wanted["kind"])
    if row is None or row.group != group or "scale" not in row.subresources:
        why = f'no matches for kind "{wanted["kind"]}" in group "{group}"'
        told = f"unable to determine resource for scale target reference: {why}"
    else:
        namespace = look.hpa["metadata"]["namespace"]
        found = look.world.get(row.name, namespace, wanted["name"])
        if found is not None:
            return found
        why = told = f'{row.plural}.{row.group} "{wanted["name"]}" not found'
    look.tell("Warning", "FailedGetScale", why)
    message = f"the HPA controller was unable to get the target's current scale: {told}"
    look.say("AbleToScale", holds=False, reason="FailedGetScale", message=message)
    return None


def _follow_metrics(look: _Look, target: Object) -> int | None:
    proposal = None if _has_rivals(look, target) else _proposal(look, target)
    if proposal is None:
        return None
    current, wanted = look.current, proposal.replicas
    pace = Behavior(look.spec, look.world.config.hpa_downscale_stabilization_s)
    held = pace.stabilize(current, wanted, look.history, look.now)
    look.history = look.history.with_recommendation(wanted, look.now)
    look.say("AbleToScale", holds=True, reason=held.reason, message=held.message)
    size = pace.limit(current, held.replicas, look.history, look.now)
    limited = size.replicas != held.replicas
    look.say("ScalingLimited", holds=limited, reason=size.reason, message=size.message)
    if size.replicas == current:
        return current
    above = f"{proposal.name} above target"
    return _resize(
        look, target, size.replicas, above if wanted > current else "All metrics below target"
    )


def _has_rivals(look: _Look, target: Object) -> bool:
    """Tell whether another autoscaler means the same pods; then neither scales them."""
    meant, namespace = look.spec["scaleTargetRef"], look.hpa["metadata"]["namespace"]
    rivals = [
        f"{namespace}/{name_of(one)}"
        for one in look.world.list("HorizontalPodAutoscaler", namespace)
        if all(one["spec"]["scaleTargetRef"][key] == meant[key] for key in ("kind", "name"))
    ]
    if len(rivals) < 2:
        return False
    labels = target["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    who = f"[{' '.join(sorted(rivals))}]"
    why = f"pods by selector {selector} are controlled by multiple HPAs: {who}"
    look.say("ScalingActive", holds=False, reason="AmbiguousSelector", message=why)
    look.tell("Warning", "AmbiguousSelector", why)
    look.tell("Warning", "FailedComputeMetricsReplicas", why)
    return True


def _proposal(look: _Look, target: Object) -> Proposal | None:
    """Take the largest of what the metrics ask for, or say why there is none."""
    sight = _sight(look, target)
    seen = [propose(metric, sight) for metric in look.spec.get("metrics") or ()]
    look.metrics = [one.status if isinstance(one, Proposal) else {"type": ""} for one in seen]
    found = [one for one in seen if isinstance(one, Proposal)]
    troubles = [one for one in seen if isinstance(one, Trouble)]
    for trouble in troubles:
        look.tell("Warning", trouble.reason, trouble.message)
    best = max(found, key=lambda one: one.replicas, default=None)
    if best is None or (troubles and best.replicas < look.current):
        first = troubles[0]
        why = f"the HPA was unable to compute the replica count: {first.message}"
        look.say("ScalingActive", holds=False, reason=first.reason, message=why)
        count = f"{len(troubles)} invalid out of {len(seen)}"
        told = f"invalid metrics ({count}), first error is: {first.message}"
        look.tell("Warning", "FailedComputeMetricsReplicas", told)
        return None
    why = f"the HPA was able to successfully calculate a replica count from {best.name}"
    look.say("ScalingActive", holds=True, reason="ValidMetricFound", message=why)
    return best


def _sight(look: _Look, target: Object) -> Sight:
    world, config = look.world, look.world.config
    pods = world.select("Pod", look.hpa["metadata"]["namespace"], target["spec"]["selector"])
    measured = {name_of(pod): world.measured(pod) for pod in pods}
    behavior = look.spec.get("behavior") or {}
    down, up = (
        float(parse_quantity((behavior.get(way) or {}).get("tolerance", config.hpa_tolerance)))
        for way in ("scaleDown", "scaleUp")
    )
    known = {name: one for name, one in measured.items() if one is not None}
    return Sight(pods, known, look.current, Tolerance(down, up), config, look.now)


def _resize(look: _Look, target: Object, replicas: int, why: str) -> int:
    scaled = target | {"spec": target["spec"] | {"replicas": replicas}}
    look.actions.append(Update(scaled, "scale"))
    able = f"the HPA controller was able to update the target scale to {replicas}"
    look.say("AbleToScale", holds=True, reason="SucceededRescale", message=able)
    look.tell("Normal", "SuccessfulRescale", f"New size: {replicas}; reason: {why}")
    look.history = look.history.with_change(replicas - look.current, look.now)
    return replicas


def _status(look: _Look, before: Object, desired: int | None) -> Object:
    conditions = {"conditions": look.hpa["status"]["conditions"]}
    if not look.has_target:
        return before | conditions
    rescaled = any(isinstance(action, Update) for action in look.actions)
    last = rfc3339(look.now) if rescaled else before.get("lastScaleTime")
    return {
        **({"lastScaleTime": last} if last else {}),
        **({"currentReplicas": look.current} if look.current else {}),
        "desiredReplicas": before.get("desiredReplicas", 0) if desired is None else desired,
        "currentMetrics": look.metrics,
        **conditions,
    }


CONTROLLER = Controller(NAME, "HorizontalPodAutoscaler", reconcile)
