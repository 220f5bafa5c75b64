"""Endpoints: the older form of EndpointSlice, kept for those who still ask for it.

A mirror of the slices, without the pods that terminate. Nothing in this cluster reads it.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#endpoints
"""

from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Create, Delete, Update
from lab_utils.controlplane.controllers.controller import Controller, namesakes
from lab_utils.controlplane.controllers.endpointslice import (
    is_served,
    last_trigger,
    metadata_for,
    service_of,
    slices_of,
)
from lab_utils.controlplane.controllers.objects import labels_of, name_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object

NAME = "endpoint-controller"
_MANAGED_BY = "endpoints.kubernetes.io/managed-by"


def reconcile(service: Object, world: World, _now: datetime) -> list[Action]:
    """Bring a Service's Endpoints up to date with its slices."""
    if not is_served(service, world):
        return []
    subsets = [subset for one in slices_of(service, world) if (subset := _subset(one))]
    current = world.get("Endpoints", service["metadata"]["namespace"], name_of(service))
    trigger, seen = last_trigger(NAME, service, world)
    metadata = metadata_for(service, current, {_MANAGED_BY: NAME}, trigger)
    body: Object = {"subsets": subsets} if subsets else {}
    if current is None:
        identity = {"apiVersion": "v1", "kind": "Endpoints"}
        metadata |= {"name": name_of(service)}
        return [Create({**identity, "metadata": metadata, **body}), seen]
    if (current.get("subsets") or []) == subsets and labels_of(current) == metadata["labels"]:
        return []
    bare = {key: value for key, value in current.items() if key != "subsets"}
    return [Update(bare | {"metadata": metadata} | body), seen]


def _subset(one: Object) -> Object:
    endpoints, ports = one.get("endpoints") or (), one.get("ports") or ()
    ready = [end for end in endpoints if _is(end, "ready")]
    waiting = [end for end in endpoints if not _is(end, "ready") and not _is(end, "terminating")]
    subset: Object = {"addresses": _addresses(ready)} if ready else {}
    subset |= {"notReadyAddresses": _addresses(waiting)} if waiting else {}
    return subset | {"ports": list(map(_without_empty_name, ports))} if subset and ports else {}


def _is(endpoint: Object, condition: str) -> bool:
    return bool(endpoint["conditions"][condition])


def _addresses(endpoints: list[Object]) -> list[Object]:
    found = [
        {"ip": end["addresses"][0], "targetRef": end["targetRef"], "nodeName": end["nodeName"]}
        for end in endpoints
    ]
    return sorted(found, key=lambda address: tuple(map(int, address["ip"].split("."))))


def _without_empty_name(port: Object) -> Object:
    return {key: value for key, value in port.items() if value != ""}


def reconcile_orphan(endpoints: Object, world: World, _now: datetime) -> list[Action]:
    """Delete Endpoints of ours whose Service has gone; slices have an owner instead."""
    namespace, name = endpoints["metadata"]["namespace"], endpoints["metadata"]["name"]
    if _MANAGED_BY in labels_of(endpoints) and world.get("Service", namespace, name) is None:
        return [Delete(endpoints)]
    return []


CONTROLLERS = (
    Controller(
        NAME,
        "Service",
        reconcile,
        {"EndpointSlice": service_of, "Endpoints": namesakes("Service")},
    ),
    Controller(NAME, "Endpoints", reconcile_orphan, {"Service": namesakes("Endpoints")}),
)
