"""Endpoints: the older form of EndpointSlice, kept for those who still ask for it.

Never lists a pod that terminates; nothing in this cluster reads it.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#endpoints
"""

from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Create, Update, delete
from lab_utils.controlplane.controllers.backends import (
    Backend,
    Ports,
    backends_of,
    grouped,
    is_served,
    metadata_for,
    pods_of,
    selector_of,
    trigger_time,
)
from lab_utils.controlplane.controllers.controller import Controller, namesakes, selectors_of
from lab_utils.controlplane.controllers.objects import labels_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object

NAME = "endpoint-controller"
_MANAGED_BY = "endpoints.kubernetes.io/managed-by"


def reconcile(service: Object, world: World, _now: datetime) -> list[Action]:
    """Bring a Service's Endpoints up to date."""
    if not is_served(service, world):
        return []
    meta, pods = service["metadata"], pods_of(service, world)
    backends = [one for one in backends_of(service, pods) if one.ready or not one.terminating]
    current = world.get("Endpoints", meta["namespace"], meta["name"])
    groups = grouped(backends).items()
    subsets = [_subset(ports, group) for ports, group in groups if ports]
    if current is None:
        trigger = meta["creationTimestamp"]
    else:
        after = {backend.uid: backend.ready for backend in backends}
        trigger = trigger_time(_readiness(current), after, pods)
    metadata = metadata_for(service, current, trigger, {_MANAGED_BY: NAME})
    body: Object = {"subsets": subsets} if subsets else {}
    if current is None:
        identity = {"apiVersion": "v1", "kind": "Endpoints"}
        return [
            Create("Endpoints", {**identity, "metadata": metadata | {"name": meta["name"]}, **body})
        ]
    if (current.get("subsets") or []) == subsets and labels_of(current) == metadata["labels"]:
        return []
    bare = {key: value for key, value in current.items() if key != "subsets"}
    return [Update("Endpoints", bare | {"metadata": metadata} | body)]


def _readiness(endpoints: Object) -> dict[str, bool]:
    return {
        address["targetRef"]["uid"]: ready
        for subset in endpoints.get("subsets") or ()
        for field, ready in (("addresses", True), ("notReadyAddresses", False))
        for address in subset.get(field) or ()
    }


def _subset(ports: Ports, group: list[Backend]) -> Object:
    subset: Object = {}
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        members = [backend for backend in group if backend.ready is ready]
        members.sort(key=lambda backend: tuple(map(int, backend.address.split("."))))
        if members:
            subset[field] = [{"ip": backend.address, **backend.place} for backend in members]
    named = [{"name": name, "port": number, "protocol": kind} for name, kind, number in ports]
    return subset | {"ports": [{k: v for k, v in port.items() if v != ""} for port in named]}


def reconcile_orphan(endpoints: Object, world: World, _now: datetime) -> list[Action]:
    """Delete Endpoints of ours whose Service has gone; slices have an owner instead."""
    namespace, name = endpoints["metadata"]["namespace"], endpoints["metadata"]["name"]
    if _MANAGED_BY in labels_of(endpoints) and world.get("Service", namespace, name) is None:
        return [delete("Endpoints", endpoints)]
    return []


CONTROLLERS = (
    Controller(
        NAME,
        "Service",
        reconcile,
        {"Pod": selectors_of("Service", selector_of), "Endpoints": namesakes("Service")},
    ),
    Controller(NAME, "Endpoints", reconcile_orphan, {"Service": namesakes("Endpoints")}),
)
