"""EndpointSlice: what the Service proxy reads, kept in step with the pods.

Hides how slices are reused. One slice per set of ports, however many endpoints.
Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import zip_longest

from lab_utils.controlplane.controllers.actions import Action, Create, Update, delete
from lab_utils.controlplane.controllers.backends import (
    Backend,
    backends_of,
    grouped,
    is_served,
    metadata_for,
    pods_of,
    selector_of,
    trigger_time,
)
from lab_utils.controlplane.controllers.controller import Controller, selectors_of
from lab_utils.controlplane.controllers.objects import Key, controller_reference, labels_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

SERVICE_NAME = "kubernetes.io/service-name"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLER = "endpointslice-controller.k8s.io"


def reconcile(service: Object, world: World, _now: datetime) -> list[Action]:
    """Bring a Service's slices up to date."""
    if not is_served(service, world):
        return []
    pods = pods_of(service, world)
    groups = grouped(backends_of(service, pods))
    bodies = [_body(group) for group in groups.values()] or [{"endpoints": None, "ports": None}]
    slices = _slices(service, world)
    trigger = _trigger_time(service, slices, groups.values(), pods)
    actions: list[Action] = []
    for current, body in zip_longest(slices, bodies):
        if body is None:
            actions.append(delete("EndpointSlice", current))
        else:
            actions += _write(service, current, body, trigger)
    return actions


def _slices(service: Object, world: World) -> list[Object]:
    meta = service["metadata"]
    marks = {SERVICE_NAME: meta["name"], _MANAGED_BY: _CONTROLLER}
    found = world.select("EndpointSlice", meta["namespace"], {"matchLabels": marks})
    return sorted(found, key=lambda one: str(one["metadata"]["name"]))


def _body(group: list[Backend]) -> Object:
    ports = [
        {"name": name, "protocol": kind, "port": number} for name, kind, number in group[0].ports
    ]
    return {"endpoints": [_endpoint(backend) for backend in group], "ports": ports or None}


def _endpoint(backend: Backend) -> Object:
    conditions = {
        "ready": backend.ready,
        "serving": backend.serving,
        "terminating": backend.terminating,
    }
    return {"addresses": [backend.address], "conditions": conditions, **backend.place}


def _trigger_time(
    service: Object, slices: list[Object], groups: Iterable[list[Backend]], pods: list[Object]
) -> str | None:
    if not slices:
        created: str = service["metadata"]["creationTimestamp"]
        return created
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or ()]
    before = {one["targetRef"]["uid"]: one["conditions"]["serving"] for one in endpoints}
    after = {backend.uid: backend.serving for group in groups for backend in group}
    return trigger_time(before, after, pods)


def _write(
    service: Object, current: Object | None, body: Object, trigger: str | None
) -> list[Action]:
    name = service["metadata"]["name"]
    marks = {_MANAGED_BY: _CONTROLLER, SERVICE_NAME: name}
    metadata = metadata_for(service, current, trigger, marks)
    if current is None:
        metadata["generateName"] = f"{name}-"
        metadata["ownerReferences"] = [controller_reference(service)]
        identity = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
        made = {**identity, "metadata": metadata, "addressType": "IPv4", **body}
        return [Create("EndpointSlice", made)]
    same = {key: current.get(key) or None for key in body} == body
    if same and labels_of(current) == metadata["labels"]:
        return []
    return [Update("EndpointSlice", current | {"metadata": metadata} | body)]


def _of_service(change: Change, _world: World) -> Iterable[Key]:
    name = labels_of(change.object).get(SERVICE_NAME)
    return [("Service", change.key[0], name)] if name else []


CONTROLLER = Controller(
    "endpointslice-controller",
    "Service",
    reconcile,
    {"Pod": selectors_of("Service", selector_of), "EndpointSlice": _of_service},
)
