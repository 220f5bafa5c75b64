"""Whose an object is: what a controller adopts, releases and leaves behind.

Hides ownerReferences. An object has one controller at most, and nobody takes it from another.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
"""

from lab_utils.controlplane.controllers.actions import Update
from lab_utils.controlplane.controllers.objects import (
    controller_of,
    controller_reference,
    is_controlled_by,
    is_finished,
    is_terminating,
    labels_of,
)
from lab_utils.controlplane.controllers.selection import matches
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object


def claim(owner: Object, kind: str, world: World) -> tuple[list[Update], list[Object]]:
    """Adopt strays the owner's selector means, release own objects it means no longer.

    Returns:
        The writes, and the owner's objects as they will be.
    """
    uid, selector = owner["metadata"]["uid"], owner["spec"]["selector"]
    kept, updates = [], []
    for one in world.owned(uid, kind):
        if not is_controlled_by(one, owner):
            continue
        if matches(selector, labels_of(one)):
            kept.append(one)
        elif not is_terminating(one):
            updates.append(Update(disowned(one, {uid})))
    for stray in [] if is_terminating(owner) else _strays(owner, kind, world):
        kept.append(_adopted(stray, owner))
        updates.append(Update(kept[-1]))
    return updates, kept


def _strays(owner: Object, kind: str, world: World) -> list[Object]:
    found = world.select(kind, owner["metadata"]["namespace"], owner["spec"]["selector"])
    free = [one for one in found if controller_of(one) is None]
    return [one for one in free if not is_terminating(one) and not is_finished(one)]


def _adopted(obj: Object, owner: Object) -> Object:
    references = [*obj["metadata"].get("ownerReferences", ()), controller_reference(owner)]
    return obj | {"metadata": obj["metadata"] | {"ownerReferences": references}}


def disowned(obj: Object, uids: set[str]) -> Object:
    """Give the object without its references to these owners."""
    metadata = dict(obj["metadata"])
    left = [one for one in metadata.pop("ownerReferences") if one["uid"] not in uids]
    return obj | {"metadata": metadata | ({"ownerReferences": left} if left else {})}
