"""Namespace: when it is deleted, its pods go first, then everything else, then itself.

Hides the order. Kubernetes waits 5 s before it starts; the lab does not.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Delete, Update, write_status
from lab_utils.controlplane.controllers.controller import ANY, Controller
from lab_utils.controlplane.controllers.objects import (
    Key,
    is_terminating,
    set_condition,
    stamped,
)
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.kinds import BY_NAME, STORED
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

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
    name = namespace["metadata"]["name"]
    content = world.list("Pod", name) or _content(name, world)
    actions = _tell(namespace, content, now)
    if content:
        doomed = [obj for obj in content if not is_terminating(obj)]
        return actions + [Delete(obj, propagation="Background") for obj in doomed]
    left = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
    freed = namespace | {"spec": namespace["spec"] | {"finalizers": left}}
    return [*actions, Update(freed, "finalize")]


def _tell(namespace: Object, content: list[Object], now: datetime) -> list[Action]:
    """Write down what is in the way: objects whose finalizers nobody takes off."""
    stuck = [obj for obj in content if is_terminating(obj) and obj["metadata"].get("finalizers")]
    kinds = Counter(BY_NAME[obj["kind"]] for obj in stuck)
    finalizers = Counter(name for obj in stuck for name in obj["metadata"]["finalizers"])
    remaining = [f"{k.plural}.{k.group} has {n} resource instances" for k, n in kinds.items()]
    holding = [f"{name} in {n} resource instances" for name, n in finalizers.items()]
    words = {kind: ("False", reason, message) for kind, reason, message in _CONDITIONS}
    if stuck:
        resources, owed = "Some resources are remaining: ", ", ".join(sorted(holding))
        resources += ", ".join(sorted(remaining))
        words["NamespaceContentRemaining"] = ("True", "SomeResourcesRemain", resources)
        owed = f"Some content in the namespace has finalizers remaining: {owed}"
        words["NamespaceFinalizersRemaining"] = ("True", "SomeFinalizersRemain", owed)
    told = namespace
    for kind, said in words.items():
        told = _with(told, kind, said, now)
    return write_status(namespace, told["status"])


def _with(namespace: Object, kind: str, words: tuple[str, str, str], now: datetime) -> Object:
    status, reason, message = words
    told = {"type": kind, "status": status, "reason": reason, "message": message}
    return set_condition(namespace, stamped(namespace, told, now))


def _content(name: str, world: World) -> list[Object]:
    kinds = [kind.name for kind in STORED if kind.namespaced]
    return [obj for kind in kinds for obj in world.list(kind, name)]


def _emptier(change: Change, world: World) -> Iterable[Key]:
    """Concern a namespace that is being deleted when something in it has gone, or come late."""
    name = change.key[0]
    if name and change.type != "MODIFIED" and not world.accepts(name):
        yield "Namespace", "", name


CONTROLLER = Controller("namespace-controller", "Namespace", reconcile, {ANY: _emptier})
