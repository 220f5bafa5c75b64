"""EndpointSlice: which pods stand behind a Service, in which state, on which ports.

Hides how named target ports resolve and how slices are reused: one slice per set of ports, however
many endpoints. Never lists a pod that has ended or has no address yet.
Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import zip_longest

from lab_utils.controlplane.controllers.actions import Action, Create, Delete, Update
from lab_utils.controlplane.controllers.controller import Controller, selectors_of
from lab_utils.controlplane.controllers.objects import (
    Key,
    annotations_of,
    controller_reference,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
)
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change
from lab_utils.controlplane.timestamps import rfc3339

SERVICE_NAME = "kubernetes.io/service-name"
_CHANGED = "endpoints.kubernetes.io/last-change-trigger-time"
_HEADLESS = "service.kubernetes.io/headless"
_MARKS = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
_NOBODY: Object = {"endpoints": None, "ports": None}

_Ports = tuple[tuple[str, str, int], ...]
"""Name, protocol and number of each port; pods of two versions may give one name two numbers."""


def reconcile(service: Object, world: World, now: datetime) -> list[Action]:
    """Bring a Service's slices up to date."""
    if not is_served(service, world):
        return []
    pods = world.select("Pod", service["metadata"]["namespace"], selector_of(service))
    bodies = _bodies(service, sorted(pods, key=name_of))
    actions: list[Action] = []
    for current, body in zip_longest(slices_of(service, world), bodies):
        actions += _write(service, current, body, now) if body else [Delete(current)]
    return actions


def selector_of(service: Object) -> Object | None:
    """Give a Service's selector as a LabelSelector; None where the cluster selects nothing."""
    selector = service["spec"].get("selector")
    if not selector or service["spec"].get("type") == "ExternalName":
        return None
    return {"matchLabels": selector}


def is_served(service: Object, world: World) -> bool:
    """Tell whether endpoints are to be kept for a Service."""
    going = is_terminating(service) or not world.accepts(service["metadata"]["namespace"])
    return selector_of(service) is not None and not going


def slices_of(service: Object, world: World) -> list[Object]:
    """Give the slices that are kept for a Service, by name."""
    marks = _MARKS | {SERVICE_NAME: name_of(service)}
    namespace = service["metadata"]["namespace"]
    return sorted(world.select("EndpointSlice", namespace, {"matchLabels": marks}), key=name_of)


def _bodies(service: Object, pods: list[Object]) -> list[Object]:
    groups: dict[_Ports, list[Object]] = {}
    for pod in pods:
        if (pod.get("status") or {}).get("podIP") and not is_finished(pod):
            groups.setdefault(_ports(service, pod), []).append(_endpoint(service, pod))
    bodies = []
    for ports, endpoints in groups.items():
        named = [{"name": name, "protocol": kind, "port": port} for name, kind, port in ports]
        bodies.append({"endpoints": endpoints, "ports": named or None})
    return bodies or [_NOBODY]


def _ports(service: Object, pod: Object) -> _Ports:
    found = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol", "TCP")
        number = _number(pod, port.get("targetPort") or port["port"], protocol)
        if number is not None:
            found.append((port.get("name", ""), protocol, number))
    return tuple(found)


def _number(pod: Object, target: int | str, protocol: str) -> int | None:
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if (port.get("name"), port.get("protocol", "TCP")) == (target, protocol):
                number: int = port["containerPort"]
                return number
    return None


def _endpoint(service: Object, pod: Object) -> Object:
    serving, terminating = is_ready(pod), is_terminating(pod)
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    ready = unready_too or (serving and not terminating)
    names = {key: pod["metadata"][key] for key in ("namespace", "name", "uid")}
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", **names},
        "nodeName": pod["spec"]["nodeName"],
    }


def _write(service: Object, current: Object | None, body: Object, now: datetime) -> list[Action]:
    metadata = metadata_for(service, current, _MARKS | {SERVICE_NAME: name_of(service)}, now)
    if current is None:
        metadata["generateName"] = f"{name_of(service)}-"
        metadata["ownerReferences"] = [controller_reference(service)]
        identity = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
        return [Create({**identity, "metadata": metadata, "addressType": "IPv4", **body})]
    same = {key: current.get(key) or None for key in body} == body
    if same and labels_of(current) == metadata["labels"]:
        return []
    return [Update(current | {"metadata": metadata} | body)]


def metadata_for(service: Object, old: Object | None, marks: Object, now: datetime) -> Object:
    """Make the metadata of what is kept for a Service: its labels, our marks, when it changed."""
    headless = {_HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    base = old["metadata"] if old else {"namespace": service["metadata"]["namespace"]}
    annotations = annotations_of(old) if old else {}
    return base | {
        "labels": labels_of(service) | headless | marks,
        "annotations": annotations | {_CHANGED: rfc3339(now)},
    }


def service_of(change: Change, _world: World) -> Iterable[Key]:
    """Concern the Service a slice is kept for."""
    name = labels_of(change.object).get(SERVICE_NAME)
    return [("Service", change.key[0], name)] if name else []


CONTROLLER = Controller(
    "endpointslice-controller",
    "Service",
    reconcile,
    {"Pod": selectors_of("Service", selector_of), "EndpointSlice": service_of},
)
