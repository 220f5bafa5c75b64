"""Garbage collection: what belonged to something goes with it.

Hides background, foreground and orphan deletion, which are all one rule about ownerReferences and
two finalizers. Never looks at what an object is.
Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Delete, Update
from lab_utils.controlplane.controllers.controller import ANY, Controller
from lab_utils.controlplane.controllers.objects import Key, is_terminating, key_of
from lab_utils.controlplane.controllers.ownership import disowned
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.deletion import FOREGROUND, ORPHAN
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change


def reconcile(obj: Object, world: World, _now: datetime) -> list[Action]:
    """Let go of an object's dependents, or delete it when all its owners have gone."""
    finalizers = obj["metadata"].get("finalizers") or ()
    if is_terminating(obj):
        if ORPHAN in finalizers:
            return _orphan_dependents(obj, world)
        return _delete_dependents(obj, world) if FOREGROUND in finalizers else []
    return _follow_owners(obj, world)


def _orphan_dependents(obj: Object, world: World) -> list[Action]:
    uid = obj["metadata"]["uid"]
    freed = [Update(disowned(one, {uid})) for one in world.owned(uid)]
    return [*freed, _without_finalizer(obj, ORPHAN)]


def _delete_dependents(obj: Object, world: World) -> list[Action]:
    """Delete dependents; the owner stays until those that block it are gone."""
    uid = obj["metadata"]["uid"]
    actions: list[Action] = []
    blocked = False
    for one in world.owned(uid):
        blocked |= any(
            reference["uid"] == uid and reference.get("blockOwnerDeletion")
            for reference in one["metadata"]["ownerReferences"]
        )
        if not is_terminating(one):
            actions.append(Delete(one, propagation=_onward(one, world)))
    return actions if blocked else [*actions, _without_finalizer(obj, FOREGROUND)]


def _onward(obj: Object, world: World) -> str:
    return "Foreground" if world.owned(obj["metadata"]["uid"]) else "Background"


def _follow_owners(obj: Object, world: World) -> list[Action]:
    references = obj["metadata"].get("ownerReferences") or ()
    gone = {reference["uid"] for reference in references if world.owner(reference["uid"]) is None}
    if not gone:
        return []
    if len(gone) == len({reference["uid"] for reference in references}):
        return [Delete(obj, propagation="Background")]
    return [Update(disowned(obj, gone))]


def _without_finalizer(obj: Object, finalizer: str) -> Update:
    metadata = dict(obj["metadata"])
    left = [name for name in metadata.pop("finalizers") if name != finalizer]
    kept = metadata | ({"finalizers": left} if left else {})
    return Update(obj | {"metadata": kept})


def _family(change: Change, world: World) -> Iterable[Key]:
    """Concern the dependents of what has gone, and the owners that wait for it to go."""
    if change.type != "DELETED":
        return
    for dependent in world.owned(change.object["metadata"]["uid"]):
        yield key_of(dependent)
    for reference in change.object["metadata"].get("ownerReferences") or ():
        owner = world.owner(reference["uid"])
        if owner is not None and is_terminating(owner):
            yield key_of(owner)


CONTROLLER = Controller("garbage-collector", ANY, reconcile, {ANY: _family})
