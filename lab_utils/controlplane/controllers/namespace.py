"""Namespace: when it is deleted, its pods go first, then everything else, then itself.

Hides the order. Kubernetes waits 5 s before it starts; the lab does not.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Delete, Update
from lab_utils.controlplane.controllers.controller import ANY, Controller
from lab_utils.controlplane.controllers.objects import Key, is_terminating
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.kinds import KINDS
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change
from lab_utils.controlplane.timestamps import rfc3339

FINALIZER = "kubernetes"
_CONDITIONS = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered",
     "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions",
     "All legacy kube types successfully parsed"),
    ("NamespaceDeletionContentFailure", "ContentDeleted",
     "All content successfully deleted, may be waiting on finalization"),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers",
     "All content-preserving finalizers finished"),
)  # fmt: skip


def reconcile(namespace: Object, world: World, now: datetime) -> list[Action]:
    """Empty a namespace that is being deleted, then let it go."""
    finalizers = namespace["spec"].get("finalizers") or []
    if not is_terminating(namespace) or FINALIZER not in finalizers:
        return []
    status = namespace.get("status") or {}
    actions: list[Action] = []
    if not status.get("conditions"):
        conditions = [_condition(*words, now) for words in _CONDITIONS]
        told = namespace | {"status": status | {"conditions": conditions}}
        actions.append(Update(told, "status"))
    name = namespace["metadata"]["name"]
    content = world.list("Pod", name) or _content(name, world)
    if content:
        doomed = [obj for obj in content if not is_terminating(obj)]
        return actions + [Delete(obj, propagation="Background") for obj in doomed]
    left = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
    freed = namespace | {"spec": namespace["spec"] | {"finalizers": left}}
    return [*actions, Update(freed, "finalize")]


def _content(name: str, world: World) -> list[Object]:
    kinds = [kind.name for kind in KINDS if kind.namespaced and kind.stored]
    return [obj for kind in kinds for obj in world.list(kind, name)]


def _condition(kind: str, reason: str, message: str, now: datetime) -> Object:
    times = {"lastTransitionTime": rfc3339(now)}
    return {"type": kind, "status": "False", **times, "reason": reason, "message": message}


def _emptier(change: Change, world: World) -> Iterable[Key]:
    """Concern a namespace that is being deleted when something in it has gone, or come late."""
    name = change.key[0]
    if name and change.type != "MODIFIED" and not world.accepts(name):
        yield "Namespace", "", name


CONTROLLER = Controller("namespace-controller", "Namespace", reconcile, {ANY: _emptier})
