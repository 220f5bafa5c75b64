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
    Requeue,
    Update,
)
from lab_utils.controlplane.controllers.events import EventRecorder
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError

_NOT_FOUND = 404
_CONFLICT = 409
_MANAGER = "kube-controller-manager"


class Executor:
    """Writes through the registry, and tells the world what was refused."""

    def __init__(self, registry: Registry, world: World) -> None:
        self._registry, self._world = registry, world
        self._events = EventRecorder(registry)

    def execute(self, actions: Iterable[Action]) -> None:
        """Carry actions out in their order.

        Nothing else writes meanwhile, so a second write to an object builds on the first.

        Raises:
            ApiError: What the registry refused; the object is to be looked at again.
        """
        versions: dict[str, str] = {}
        refused: ApiError | None = None
        for action in actions:
            match action:
                case Create() if refused is None:
                    refused = self._create(action)
                case Update():
                    self._update(action, versions)
                case Delete():
                    self._delete(action)
                case Bind(namespace, pod, node):
                    self._registry.bind(namespace, pod, node)
                case Emit():
                    self._events.record(action)
                case Create() | Requeue():
                    pass
        if refused is not None:
            raise refused

    def _create(self, action: Create) -> ApiError | None:
        done = action.done
        try:
            made = self._registry.create(action.kind, action.object, manager=_MANAGER)
        except ApiError as exc:
            if done is None:
                raise
            self._world.refusals[done.regarding["metadata"]["uid"]] = exc.message
            message = f"Error creating: {exc.message}"
            failed = replace(done, type="Warning", reason="FailedCreate", message=message)
            self._events.record(failed)
            return exc
        if done is not None:
            self._world.refusals.pop(done.regarding["metadata"]["uid"], None)
            message = done.message.replace("{name}", made["metadata"]["name"])
            self._events.record(replace(done, message=message))
        return None

    def _update(self, action: Update, versions: dict[str, str]) -> None:
        obj, metadata = action.object, action.object["metadata"]
        version = versions.get(metadata["uid"], metadata["resourceVersion"])
        obj = obj | {"metadata": metadata | {"resourceVersion": version}}
        written = self._registry.update(
            action.kind, obj, subresource=action.subresource, manager=_MANAGER
        )
        versions[metadata["uid"]] = written["metadata"]["resourceVersion"]

    def _delete(self, action: Delete) -> None:
        try:
            self._registry.delete(
                action.kind,
                action.namespace,
                action.name,
                uid=action.uid,
                grace_s=action.grace_s,
                propagation=action.propagation,
            )
        except ApiError as exc:  # it has gone, or a namesake has taken its place: just as well
            if exc.code not in (_NOT_FOUND, _CONFLICT):
                raise
