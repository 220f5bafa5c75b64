"""Carrying actions out: the only place where a controller's decision becomes a write.

Hides resourceVersions and what follows a refusal. Stops at the first action that fails, except for
creations: one refused pod says why, the rest of the decision still counts.
"""

from collections.abc import Iterable
from dataclasses import replace

from lab_utils.controlplane.controllers.actions import (
    Action,
    Bind,
    Create,
    Delete,
    Emit,
    Note,
    Update,
)
from lab_utils.controlplane.controllers.events import Recorder
from lab_utils.controlplane.controllers.objects import key_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError

_NOT_FOUND = 404
_CONFLICT = 409
_MANAGER = "kube-controller-manager"


def execute(
    actions: Iterable[Action], registry: Registry, recorder: Recorder, world: World
) -> None:
    """Carry actions out in their order, and tell the world what was refused.

    Nothing else writes meanwhile, so a second write to an object builds on the first.

    Raises:
        ApiError: What the registry refused; the object is to be looked at again.
    """
    versions: dict[str, str] = {}
    refused: ApiError | None = None
    for action in actions:
        match action:
            case Create():
                refused = refused or _create(action, registry, recorder, world)
            case Update():
                _update(action, registry, versions)
            case Delete():
                _delete(action, registry, versions)
            case Bind(pod, node):
                registry.bind(*key_of(pod)[1:], node)
            case Note(by, regarding, text):
                world.notes.setdefault(regarding["metadata"]["uid"], {})[by] = text
            case Emit():
                recorder.record(action)
    if refused is not None:
        raise refused


def _create(
    action: Create, registry: Registry, recorder: Recorder, world: World
) -> ApiError | None:
    done = action.done
    try:
        made = registry.create(action.object["kind"], action.object, manager=_MANAGER)
    except ApiError as exc:
        if done is None:
            raise
        world.refusals[done.regarding["metadata"]["uid"]] = exc.message
        message = f"Error creating: {exc.message}"
        recorder.record(replace(done, type="Warning", reason="FailedCreate", message=message))
        return exc
    if done is not None:
        world.refusals.pop(done.regarding["metadata"]["uid"], None)
        message = done.message.replace("{name}", made["metadata"]["name"])
        recorder.record(replace(done, message=message))
    return None


def _update(action: Update, registry: Registry, versions: dict[str, str]) -> None:
    obj, metadata = action.object, action.object["metadata"]
    version = versions.get(metadata["uid"], metadata["resourceVersion"])
    obj = obj | {"metadata": metadata | {"resourceVersion": version}}
    part = action.subresource
    written = registry.update(obj["kind"], obj, subresource=part, manager=_MANAGER)
    versions[metadata["uid"]] = written["metadata"]["resourceVersion"]


def _delete(action: Delete, registry: Registry, versions: dict[str, str]) -> None:
    uid = action.object["metadata"]["uid"]
    try:
        left = registry.delete(
            *key_of(action.object),
            uid=uid,
            grace_s=action.grace_s,
            propagation=action.propagation,
        )
    except ApiError as exc:  # it has gone, or a namesake has taken its place: just as well
        if exc.code not in (_NOT_FOUND, _CONFLICT):
            raise
    else:
        versions[uid] = left["metadata"]["resourceVersion"]
