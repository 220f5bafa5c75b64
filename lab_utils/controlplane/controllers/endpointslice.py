"""EndpointSlice: which pods stand behind a Service, in which state, on which ports.

Hides how named target ports resolve and how slices are reused: one slice per set of ports, however
many endpoints. Never lists a pod that has ended or has no address yet.
Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import zip_longest

from lab_utils.controlplane.controllers.actions import Action, Create, Delete, Note, Update
from lab_utils.controlplane.controllers.controller import Controller, selectors_of
from lab_utils.controlplane.controllers.objects import (
    Key,
    condition_of,
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

NAME = "endpointslice-controller"
SERVICE_NAME = "kubernetes.io/service-name"
_CHANGED = "endpoints.kubernetes.io/last-change-trigger-time"
_HEADLESS = "service.kubernetes.io/headless"
_MARKS = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
_SERVICE = "(service)"  # no pod has such a name
_NOBODY: Object = {"endpoints": None, "ports": None}

_Ports = tuple[tuple[str, str, int], ...]
"""Name, protocol and number of each port; pods of two versions may give one name two numbers."""


def reconcile(service: Object, world: World, _now: datetime) -> list[Action]:
    """Bring a Service's slices up to date."""
    if not is_served(service, world):
        return []
    pods = world.select("Pod", service["metadata"]["namespace"], selector_of(service))
    bodies = _bodies(service, sorted(pods, key=name_of))
    trigger, seen = last_trigger(NAME, service, world)
    actions: list[Action] = []
    for current, body in zip_longest(slices_of(service, world), bodies):
        actions += _write(service, current, body, trigger) if body else [Delete(current)]
    return [*actions, seen] if actions else []


def last_trigger(by: str, service: Object, world: World) -> tuple[str, Note]:
    """Give the earliest of the changes since a Service's endpoints were last written, "" for none.

    What counts is when pods turned ready or not, and when the Service was made. The note is what
    has been seen; it holds once something is written.
    """
    pods = world.select("Pod", service["metadata"]["namespace"], selector_of(service))
    ready = ((name_of(pod), condition_of(pod, "Ready")) for pod in pods)
    seen = {name: one["lastTransitionTime"] for name, one in ready if one is not None}
    seen[_SERVICE] = service["metadata"]["creationTimestamp"]
    before = world.noted(by, service)
    new = [at for name, at in seen.items() if at > before.get(name, "")]
    return min(new, default=""), Note(by, service, seen)


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


def _write(service: Object, current: Object | None, body: Object, trigger: str) -> list[Action]:
    metadata = metadata_for(service, current, _MARKS | {SERVICE_NAME: name_of(service)}, trigger)
    if current is None:
        metadata["generateName"] = f"{name_of(service)}-"
        metadata["ownerReferences"] = [controller_reference(service)]
        identity = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
        return [Create({**identity, "metadata": metadata, "addressType": "IPv4", **body})]
    same = {key: current.get(key) or None for key in body} == body
    if same and labels_of(current) == metadata["labels"]:
        return []
    return [Update(current | {"metadata": metadata} | body)]


def metadata_for(service: Object, old: Object | None, marks: Object, trigger: str) -> Object:
    """Make the metadata of what is kept for a Service: its labels, our marks, why it changed."""
    headless = {_HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    base = old["metadata"] if old else {"namespace": service["metadata"]["namespace"]}
    metadata = base | {"labels": labels_of(service) | headless | marks}
    given = base.get("annotations") or {}
    others = {key: value for key, value in given.items() if key != _CHANGED}
    annotations = others | ({_CHANGED: trigger} if trigger else {})
    metadata.pop("annotations", None)
    return metadata | ({"annotations": annotations} if annotations else {})


def service_of(change: Change, _world: World) -> Iterable[Key]:
    """Concern the Service a slice is kept for."""
    name = labels_of(change.object).get(SERVICE_NAME)
    return [("Service", change.key[0], name)] if name else []


CONTROLLER = Controller(
    NAME,
    "Service",
    reconcile,
    {"Pod": selectors_of("Service", selector_of), "EndpointSlice": service_of},
)
