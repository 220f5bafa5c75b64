"""Which pods stand behind a Service, in which state, on which ports.

Hides how named target ports resolve. Never lists a pod that has ended or has no address yet.
Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab_utils.controlplane.controllers.objects import (
    annotations_of,
    condition_of,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
)
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object

TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_HEADLESS = "service.kubernetes.io/headless"

Ports = tuple[tuple[str, str, int], ...]
"""Name, protocol and number of each port, as one pod has them."""


@dataclass(frozen=True)
class Backend:
    """One pod behind a Service."""

    pod: Object
    ports: Ports
    ready: bool
    serving: bool
    terminating: bool

    @property
    def uid(self) -> str:
        """Give the pod's uid."""
        uid: str = self.pod["metadata"]["uid"]
        return uid

    @property
    def address(self) -> str:
        """Give the pod's IP."""
        address: str = self.pod["status"]["podIP"]
        return address

    @property
    def place(self) -> Object:
        """Give the fields that both kinds of endpoints share."""
        meta = self.pod["metadata"]
        names = {key: meta[key] for key in ("namespace", "name", "uid")}
        return {"targetRef": {"kind": "Pod", **names}, "nodeName": self.pod["spec"]["nodeName"]}


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


def pods_of(service: Object, world: World) -> list[Object]:
    """Give the pods a Service selects, by name."""
    pods = world.select("Pod", service["metadata"]["namespace"], selector_of(service))
    return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))


def backends_of(service: Object, pods: Iterable[Object]) -> list[Backend]:
    """Give the backends among the pods."""
    return [
        _backend(service, pod)
        for pod in pods
        if (pod.get("status") or {}).get("podIP") and not is_finished(pod)
    ]


def _backend(service: Object, pod: Object) -> Backend:
    serving, terminating = is_ready(pod), is_terminating(pod)
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    ready = unready_too or (serving and not terminating)
    return Backend(pod, _ports(service, pod), ready, serving, terminating)


def _ports(service: Object, pod: Object) -> Ports:
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


def grouped(backends: Iterable[Backend]) -> dict[Ports, list[Backend]]:
    """Group by ports: pods of two versions may give one name two numbers."""
    groups: dict[Ports, list[Backend]] = {}
    for backend in backends:
        groups.setdefault(backend.ports, []).append(backend)
    return groups


def trigger_time(before: dict[str, bool], after: dict[str, bool], pods: list[Object]) -> str | None:
    """Give the oldest change of readiness that a write makes known; it measures the delay.

    Args:
        before: uid -> whether it served, of the endpoints there are.
        after: The same of the endpoints there should be.
        pods: All pods the Service selects, ended ones too.

    Returns:
        A Ready condition's lastTransitionTime; None when the change is not one of readiness, as
        when a pod starts to terminate.
    """
    changed = {uid for uid in before | after if before.get(uid) != after.get(uid)}
    ready = [condition_of(pod, "Ready") for pod in pods if pod["metadata"]["uid"] in changed]
    return min(
        (str(condition["lastTransitionTime"]) for condition in ready if condition), default=None
    )


def metadata_for(service: Object, old: Object | None, trigger: str | None, marks: Object) -> Object:
    """Make the labels and annotations of what is kept for a Service: its labels, and our marks."""
    headless = {_HEADLESS: ""} if service["spec"].get("clusterIP") == "None" else {}
    annotations = dict(annotations_of(old)) if old else {}
    annotations.pop(TRIGGER, None)
    annotations |= {TRIGGER: trigger} if trigger else {}
    base = dict(old["metadata"]) if old else {"namespace": service["metadata"]["namespace"]}
    base.pop("annotations", None)
    base["labels"] = labels_of(service) | headless | marks
    return base | ({"annotations": annotations} if annotations else {})
