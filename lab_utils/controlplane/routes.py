"""Where a Service's connections may go: Services and EndpointSlices in, one table out.

Pure. A pod that terminates still gets connections if there is no other: better late than nobody.
Source: https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-to-terminating-endpoints
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab_utils.controlplane.status import Object

HEADLESS = "None"
_SERVICE_NAME = "kubernetes.io/service-name"
Door = int | str
"""Where connections come in: a nodePort, or `10.96.3.4:80`, a port of a clusterIP."""


@dataclass(frozen=True)
class Backend:
    """One place a connection can go."""

    address: str
    port: int
    node: str


@dataclass(frozen=True)
class Route:
    """The places of one door, and for how long a client keeps its place (0: not at all)."""

    backends: tuple[Backend, ...]
    affinity_s: float = 0.0


def routes(services: Iterable[Object], slices: Iterable[Object]) -> dict[Door, Route]:
    """Give the route of every TCP port that Services have on nodes and on clusterIPs."""
    endpoints = by_service(slices)
    table: dict[Door, Route] = {}
    for service in services:
        meta, address = service["metadata"], service["spec"].get("clusterIP", HEADLESS)
        found = endpoints.get((meta["namespace"], meta["name"]), [])
        for port in service["spec"].get("ports") or ():
            if port.get("protocol", "TCP") != "TCP":
                continue
            backends = _backends(port.get("name", ""), found)
            route = Route(tuple(backends), _affinity_s(service))
            if port.get("nodePort"):
                table[port["nodePort"]] = route
            if address and address != HEADLESS:
                table[f"{address}:{port['port']}"] = route
    return table


def by_service(slices: Iterable[Object]) -> dict[tuple[str, str], list[Object]]:
    """Group slices by namespace and name of their Service."""
    found: dict[tuple[str, str], list[Object]] = {}
    for one in slices:
        name = (one["metadata"].get("labels") or {}).get(_SERVICE_NAME, "")
        found.setdefault((one["metadata"]["namespace"], name), []).append(one)
    return found


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
