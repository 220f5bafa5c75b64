"""Where a Service's connections may go: Services and EndpointSlices in, one table out.

Pure. A pod that terminates still gets connections if there is no other: better late than nobody.
Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-to-terminating-endpoints
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab_utils.controlplane.status import Object

_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Backend:
    """One place a connection can go."""

    address: str
    port: int
    node: str


@dataclass(frozen=True)
class Route:
    """The places of one nodePort, and for how long a client keeps its place (0: not at all)."""

    backends: tuple[Backend, ...]
    affinity_s: float = 0.0


def routes(services: Iterable[Object], slices: Iterable[Object]) -> dict[int, Route]:
    """Give the route of every TCP nodePort."""
    by_service: dict[tuple[str, str], list[Object]] = {}
    for one in slices:
        name = (one["metadata"].get("labels") or {}).get(_SERVICE_NAME, "")
        by_service.setdefault((one["metadata"]["namespace"], name), []).append(one)
    table = {}
    for service in services:
        meta = service["metadata"]
        found = by_service.get((meta["namespace"], meta["name"]), [])
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort") and port.get("protocol", "TCP") == "TCP":
                backends = _backends(port.get("name", ""), found)
                table[port["nodePort"]] = Route(tuple(backends), _affinity_s(service))
    return table


def _affinity_s(service: Object) -> float:
    if service["spec"].get("sessionAffinity") != "ClientIP":
        return 0.0
    config = (service["spec"].get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return float(config.get("timeoutSeconds", 10800))


def _backends(name: str, slices: Iterable[Object]) -> list[Backend]:
    ready, ending = [], []
    for one in slices:
        ports = [port["port"] for port in one.get("ports") or () if port.get("name", "") == name]
        for endpoint in one.get("endpoints") or () if ports else ():
            conditions = endpoint.get("conditions") or {}
            backend = Backend(endpoint["addresses"][0], ports[0], endpoint.get("nodeName", ""))
            if conditions.get("ready", True):
                ready.append(backend)
            elif conditions.get("serving") and conditions.get("terminating"):
                ending.append(backend)
    return ready or ending
