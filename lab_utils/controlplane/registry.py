"""The rules between a request and the store: what every write goes through, whoever writes.

HTTP handlers and controllers use the same methods, all synchronous: one write is one step of the
event loop, so none is ever seen half done. Hides the order of the steps (preparation, defaults,
ownership, admission, validation, allocation, commit); each step is a module of its own.

Objects that come out belong to the store: copy.deepcopy before you edit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lab_utils.controlplane import (
    admission,
    allocation,
    deletion,
    strategy,
    subresources,
    views,
)
from lab_utils.controlplane.advice import advise
from lab_utils.controlplane.apply import record_update, server_side_apply
from lab_utils.controlplane.config import DEFAULT_TOLERATIONS_S
from lab_utils.controlplane.defaults import set_defaults
from lab_utils.controlplane.deletion import DeleteOptions
from lab_utils.controlplane.expiry import EventExpiry
from lab_utils.controlplane.joblabels import select_own_pods
from lab_utils.controlplane.kinds import BY_NAME, Kind
from lab_utils.controlplane.parsing import APPLY_PATCH
from lab_utils.controlplane.patching import named, patched
from lab_utils.controlplane.status import Object, already_exists, conflict, invalid, not_found
from lab_utils.controlplane.store import Store
from lab_utils.controlplane.timestamps import Clock, rfc3339, utc_now
from lab_utils.controlplane.validation import validate
from lab_utils.controlplane.warn import warn


@dataclass(frozen=True)
class _Write:
    """How one write is to be done: by whom, through which door, for real or not."""

    row: Kind
    manager: str
    subresource: str = ""
    operation: str = "Update"
    dry_run: bool = False


class Registry:
    """Create, change and delete objects as an API server does."""

    def __init__(
        self,
        store: Store,
        clock: Clock = utc_now,
        *,
        tolerations_s: Mapping[str, int] = DEFAULT_TOLERATIONS_S,
    ) -> None:
        self.store = store
        self.clock = clock
        self.tolerations_s = tolerations_s
        self._events = EventExpiry(store)

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Give an object, None when there is none."""
        return self.store.get(kind, namespace, name)

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """Give an object (404, there is none)."""
        found = self.store.get(kind, namespace, name)
        if found is None:
            raise not_found(BY_NAME[kind].group, BY_NAME[kind].plural, name)
        return found

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """List a kind, in all namespaces or in one."""
        return self.store.list(kind, namespace)

    def create(self, kind: str, obj: Object, *, manager: str = "", dry_run: bool = False) -> Object:
        """Create an object; metadata.namespace says where (403, 404, 409 or 422)."""
        return self._create(_Write(BY_NAME[kind], manager, dry_run=dry_run), obj)

    def update(
        self,
        kind: str,
        obj: Object,
        *,
        subresource: str = "",
        manager: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Replace an object; through a subresource only a part of it (404, 409 or 422)."""
        row, metadata = BY_NAME[kind], obj["metadata"]
        write = _Write(row, manager, subresource, dry_run=dry_run)
        live = self.store.get(kind, metadata.get("namespace", ""), metadata["name"])
        if live is None:
            if row.create_on_update and not subresource and not metadata.get("uid"):
                return self._create(write, obj)
            raise not_found(row.group, row.plural, metadata["name"])
        strategy.check_preconditions(row, live, obj)
        return self._replace(write, obj, live)

    def patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        patch: Any,
        *,
        content_type: str,
        subresource: str = "",
        manager: str = "",
        force: bool = False,
        dry_run: bool = False,
        validation: str = "Ignore",
        view: Kind | None = None,
    ) -> Object:
        """Change an object by a decoded patch; an apply patch creates it when it is absent.

        content_type says which format it is, validation ("Strict", "Warn", "Ignore") what to do
        about unknown fields; force lets an apply patch take over what others own; view is the
        version of the kind that the patch is written for, if it is not the stored one.

        Raises:
            ApiError: as update() and create(), and 400 for a body that is no such patch.
        """
        row, live = BY_NAME[kind], self.store.get(kind, namespace, name)
        seen = view or row
        write = _Write(row, manager, subresource, dry_run=dry_run)
        if content_type == APPLY_PATCH:
            applied = views.stored(seen, named(seen.shape, patch, name))
            return self._apply(replace(write, operation="Apply"), live, applied, namespace, force)
        if live is None:
            raise not_found(row.group, row.plural, name)
        if subresource == "scale":
            shown = subresources.scale_of(live)
            result = patched("Scale", shown, patch, content_type, validation)
            new = subresources.scaled(row, live, result)
        else:
            shown = views.shown(seen, live)
            new = views.stored(seen, patched(seen.shape, shown, patch, content_type, validation))
        strategy.check_revision(row, live, new)
        return self._replace(write, new, live)

    def delete(
        self,
        kind: str,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_s: int | None = None,
        propagation: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete an object, or start what has to happen before it can go.

        Returns:
            The object as the deletion leaves it; `deletion.is_final` of it says it is gone, except
            for pods, which also wait for their grace period.

        Raises:
            ApiError: 404, 409 for a precondition, 403 for system namespaces.
        """
        live = self.get(kind, namespace, name)
        options = DeleteOptions(dry_run, grace_s, propagation, uid, resource_version)
        deletion.check_request(BY_NAME[kind], live, options)
        left = deletion.begin(live, options, self.clock())
        if dry_run:
            return left
        if left is not live:
            self.store.put(kind, left)
        gone = deletion.is_over(left) or ("deletionTimestamp" not in left["metadata"])
        return self.store.remove(kind, namespace, name) if gone else left

    def bind(self, namespace: str, pod: str, node: str, *, dry_run: bool = False) -> None:
        """Give a pod its node: the one write of a scheduler (404; 409, it has one)."""
        new = subresources.bound(self.get("Pod", namespace, pod), node, self.clock())
        if not dry_run:
            self.store.put("Pod", new)

    def evict(
        self, namespace: str, pod: str, *, grace_s: int | None = None, dry_run: bool = False
    ) -> None:
        """Delete a pod if its disruption budget allows it (429, it does not)."""
        live, now = self.get("Pod", namespace, pod), self.clock()
        budgets = self.store.list("PodDisruptionBudget", namespace)
        budget = subresources.guarding_budget(live, budgets)
        charged = subresources.charged(budget, pod, now) if budget else None
        if dry_run:
            return
        if charged:
            self.store.put("PodDisruptionBudget", charged)
        if "deletionTimestamp" not in live["metadata"] and live["spec"].get("nodeName"):
            self.store.put("Pod", subresources.evicted(live, now))
        self.delete("Pod", namespace, pod, grace_s=grace_s)

    def _create(self, write: _Write, obj: Object) -> Object:
        row = write.row
        new = strategy.prepare_create(row, obj, self.clock(), dry_run=write.dry_run)
        self._generate_name(row, new["metadata"])
        if row.name == "Job":
            select_own_pods(new)
        new = self._record(write, None, set_defaults(row.name, new))
        admission.admit_create(row, new, self)
        self._check(row, new, None)
        if row.name == "Service":
            allocation.allocate(new, self.list("Service"), dry_run=write.dry_run)
        name = new["metadata"]["name"]
        if self.find(row.name, new["metadata"].get("namespace", ""), name):
            raise already_exists(row.group, row.plural, name)
        self._advise(new)
        return new if write.dry_run else self._commit(row, new)

    def _generate_name(self, row: Kind, metadata: Object) -> None:
        prefix = metadata.get("generateName", "")
        while prefix and not metadata.get("name"):
            name = prefix[:58] + admission.random_suffix()
            if self.find(row.name, metadata.get("namespace", ""), name) is None:
                metadata["name"] = name

    def _replace(self, write: _Write, obj: Object, live: Object) -> Object:
        row = write.row
        new = set_defaults(row.name, strategy.prepare_update(row, obj, live, write.subresource))
        if row.name == "Service":
            allocation.carry_over(new, live)
        new = self._record(write, live, new)
        if write.subresource in ("", "scale"):
            admission.admit_update(row, new, self)
        self._check(row, new, live)
        if row.name == "Service":
            others = [one for one in self.list("Service") if one is not live]
            allocation.allocate(new, others, dry_run=write.dry_run)
        strategy.count_generation(row, new, live)
        if strategy.is_same(new, live):
            return live
        if write.subresource != "status":
            self._advise(new)
        return new if write.dry_run else self._commit(row, new)

    def _apply(
        self, write: _Write, live: Object | None, applied: Object, namespace: str, force: bool
    ) -> Object:
        row, wanted = write.row, applied["metadata"]
        if live is not None:
            strategy.check_revision(row, live, applied)
        elif write.subresource:
            raise not_found(row.group, row.plural, wanted["name"])
        elif wanted.get("uid"):
            why = f"uid mismatch: the provided object specified uid {wanted['uid']}"
            why += ", and no existing object was found"
            raise conflict(row.group, row.plural, wanted["name"], why)
        merged = server_side_apply(
            row.name,
            live,
            applied,
            manager=write.manager,
            force=force,
            now=rfc3339(self.clock()),
            subresource=write.subresource,
        )
        if live is not None:
            return self._replace(write, merged, live)
        if namespace:
            merged["metadata"]["namespace"] = namespace
        return self._create(write, merged)

    def _record(self, write: _Write, old: Object | None, new: Object) -> Object:
        return record_update(
            write.row.name,
            old,
            new,
            manager=write.manager or "unknown",
            now=rfc3339(self.clock()),
            subresource=write.subresource,
            operation=write.operation,
        )

    def _check(self, row: Kind, new: Object, live: Object | None) -> None:
        causes = validate(row.name, new, live)
        if causes:
            raise invalid(row.group, row.name, new["metadata"].get("name", ""), causes)

    def _advise(self, new: Object) -> None:
        for text in advise(new):
            warn(text)

    def _commit(self, row: Kind, new: Object) -> Object:
        if row.name == "Event":
            self._events.note(new, self.clock())
        self.store.put(row.name, new)
        if not deletion.is_over(new):
            return new
        metadata = new["metadata"]
        return self.store.remove(row.name, metadata.get("namespace", ""), metadata["name"])
