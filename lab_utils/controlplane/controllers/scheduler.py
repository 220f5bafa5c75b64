"""The scheduler: give each pod the node that suits it best.

Hides why a node is refused (`fitness.py`) and preferred (`preference.py`). Never preempts: the
lab's pods all have one priority.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
"""

import zlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Bind, Emit, Update
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.fitness import Refusal, refusal
from lab_utils.controlplane.controllers.objects import (
    Key,
    condition_of,
    is_finished,
    is_terminating,
    key_of,
    labels_of,
    name_of,
    set_condition,
    stamped,
)
from lab_utils.controlplane.controllers.preference import scores
from lab_utils.controlplane.controllers.selection import rules
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

NAME = "default-scheduler"
_HOPELESS = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"


def reconcile(pod: Object, world: World, now: datetime) -> list[Action]:
    """Bind a pod that waits for a node, or say why no node will have it."""
    if not _waits(pod):
        return []
    judged = [(node, refusal(pod, node, world)) for node in world.list("Node")]
    fitting = [node for node, refused in judged if refused is None]
    if not fitting:
        return _unschedulable(pod, [refused for _, refused in judged if refused], now)
    ranking = zip(scores(pod, fitting, world), fitting, strict=True)
    best = max(ranking, key=lambda scored: (scored[0], _tie(pod, scored[1])))[1]
    namespace, name = key_of(pod)[1:]
    node = name_of(best)
    message = f"Successfully assigned {namespace}/{name} to {node}"
    return [Bind(pod, node), Emit(pod, "Normal", "Scheduled", message, NAME)]


def _waits(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and spec.get("schedulerName", NAME) == NAME
        and not spec.get("schedulingGates")
        and not is_terminating(pod)
        and not is_finished(pod)
    )


def _tie(pod: Object, node: Object) -> int:
    """Spread equal choices by the pod's uid: random to look at, the same for the same pod."""
    return zlib.crc32(f"{pod['metadata']['uid']}/{node['metadata']['name']}".encode())


def _unschedulable(pod: Object, refusals: list[Refusal], now: datetime) -> list[Action]:
    message = _why(refusals)
    old = condition_of(pod, "PodScheduled") or {}
    if (old.get("status"), old.get("message")) == ("False", message):
        return []
    told = {
        "type": "PodScheduled",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "status": "False",
        "lastProbeTime": None,
        "reason": "Unschedulable",
        "message": message,
    }
    return [
        Emit(pod, "Warning", "FailedScheduling", message, NAME),
        Update(set_condition(pod, stamped(pod, told, now)), "status"),
    ]


def _why(refusals: list[Refusal]) -> str:
    """Word the refusals of all nodes as Kubernetes does."""
    if not refusals:
        return "no nodes available to schedule pods"
    total = len(refusals)
    told = _tally(reason for refusal in refusals for reason in refusal.reasons)
    victims = _tally(_HOPELESS if refusal.hopeless else _NO_VICTIMS for refusal in refusals)
    return (
        f"0/{total} nodes are available: {told}. no new claims to deallocate, "
        f"preemption: 0/{total} nodes are available: {victims}."
    )


def _tally(reasons: Iterable[str]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in Counter(reasons).items()))


def _waiting(_change: Change, world: World) -> Iterable[Key]:
    return [key_of(pod) for pod in world.list("Pod") if _waits(pod)]


def _when_node_differs(change: Change, world: World) -> Iterable[Key]:
    """A heartbeat makes no room; labels, taints, size and unschedulable may."""
    if change.previous is not None and _offer(change.object) == _offer(change.previous):
        return []
    return _waiting(change, world)


def _offer(node: Object) -> tuple[object, ...]:
    status = node.get("status") or {}
    return node["spec"], node["metadata"].get("labels"), status.get("allocatable")


def _when_pod_differs(change: Change, world: World) -> Iterable[Key]:
    """A pod that ends gives room; one that comes or changes labels may be wished near."""
    pod, before = change.object, change.previous
    if not pod["spec"].get("nodeName"):
        return []
    if change.type == "DELETED" or is_finished(pod):
        return _waiting(change, world)
    if before and before["spec"].get("nodeName") and labels_of(before) == labels_of(pod):
        return []
    return [key for key in _waiting(change, world) if _looks_for_others(world.get(*key))]


def _looks_for_others(pod: Object | None) -> bool:
    if pod is None:
        return False
    wishes = (rules(pod, kind, "required") for kind in ("podAffinity", "podAntiAffinity"))
    return any(wishes) or bool(pod["spec"].get("topologySpreadConstraints"))


CONTROLLER = Controller(
    NAME, "Pod", reconcile, {"Node": _when_node_differs, "Pod": _when_pod_differs}
)
