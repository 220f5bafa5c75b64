"""The numbers a Service gets from the cluster: its clusterIP and its nodePorts.

What is taken is read from the Services that are there, so nothing can leak. Never routes anything.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport
"""

import ipaddress
import json
import random
from collections.abc import Iterable, Iterator

from lab_utils.controlplane.status import Cause, Object, invalid

CLUSTER_IPS = ipaddress.ip_network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_HEADLESS = "None"


def carry_over(new: Object, live: Object) -> None:
    """Keep what a changed Service already has and its client did not send again."""
    spec, old = new["spec"], live["spec"]
    if "ExternalName" in (spec.get("type"), old.get("type")):
        return
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec |= {field: old[field] for field in ("clusterIP", "clusterIPs") if field in old}
    before = {_port_key(port): port.get("nodePort") for port in old.get("ports", ())}
    if not _wants_node_ports(spec):
        _drop_node_ports(spec, before)
        return
    for port in spec.get("ports", ()):
        known = before.get(_port_key(port))
        if known and not port.get("nodePort"):
            port["nodePort"] = known


def _port_key(port: Object) -> tuple[str, int]:
    return port.get("protocol", "TCP"), port["port"]


def _drop_node_ports(spec: Object, before: dict[tuple[str, int], int | None]) -> None:
    for port in spec.get("ports", ()):
        if port.get("nodePort") and port["nodePort"] == before.get(_port_key(port)):
            del port["nodePort"]


def allocate(service: Object, others: Iterable[Object], *, dry_run: bool = False) -> None:
    """Give a Service what it asks for or lacks.

    A dry run does not see a taken address or a port out of range, just as in Kubernetes.

    Args:
        service: The new object; its spec is filled in.
        others: Every other Service of the cluster.
        dry_run: Nothing will be stored.

    Raises:
        ApiError: 422, an address or a port is taken or out of range.
    """
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return
    specs = [other["spec"] for other in others]
    spec.setdefault("clusterIP", (spec.get("clusterIPs") or [""])[0])
    if not spec["clusterIP"]:
        spec["clusterIP"] = _free_address(specs)
    elif spec["clusterIP"] != _HEADLESS:
        _claim_address(service, [] if dry_run else specs)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if _wants_node_ports(spec):
        _allocate_node_ports(service, specs, dry_run=dry_run)


def _wants_node_ports(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _free_address(specs: list[Object]) -> str:
    taken = {spec.get("clusterIP") for spec in specs}
    while True:
        host = random.randrange(256, CLUSTER_IPS.num_addresses - 1)  # noqa: S311 no secret
        address = str(CLUSTER_IPS[host])
        if address not in taken:
            return address


def _claim_address(service: Object, specs: list[Object]) -> None:
    address = service["spec"]["clusterIP"]
    if ipaddress.ip_address(address) not in CLUSTER_IPS:
        why = (
            f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid "
            f"range. The range of valid IPs is {CLUSTER_IPS}"
        )
    elif address in {spec.get("clusterIP") for spec in specs}:
        why = f"failed to allocate IP {address}: provided IP is already allocated"
    else:
        return
    _refuse(service, "spec.clusterIPs", json.dumps([address]), why)


def _allocate_node_ports(service: Object, specs: list[Object], *, dry_run: bool) -> None:
    taken = set(_node_ports(specs))
    for i, port in enumerate(service["spec"].get("ports", ())):
        wanted = port.get("nodePort")
        if not wanted:
            port["nodePort"] = _free_port(taken | set(_node_ports([service["spec"]])), port)
        else:
            _claim_port(service, i, taken, dry_run=dry_run)
        taken.add((port.get("protocol", "TCP"), port["nodePort"]))


def _node_ports(specs: Iterable[Object]) -> Iterator[tuple[str, int]]:
    for spec in specs:
        for port in spec.get("ports", ()):
            if port.get("nodePort"):
                yield port.get("protocol", "TCP"), port["nodePort"]


def _free_port(taken: set[tuple[str, int]], port: Object) -> int:
    protocol = port.get("protocol", "TCP")
    return random.choice([n for n in NODE_PORTS if (protocol, n) not in taken])  # noqa: S311


def _claim_port(service: Object, index: int, taken: set[tuple[str, int]], *, dry_run: bool) -> None:
    port = service["spec"]["ports"][index]
    number, field = port["nodePort"], f"spec.ports[{index}].nodePort"
    if number not in NODE_PORTS and not dry_run:
        first, last = NODE_PORTS[0], NODE_PORTS[-1]
        why = "provided port is not in the valid range. The range of valid ports is "
        _refuse(service, field, str(number), f"{why}{first}-{last}")
    if (port.get("protocol", "TCP"), number) in taken:
        _refuse(service, field, str(number), "provided port is already allocated")


def _refuse(service: Object, field: str, value: str, why: str) -> None:
    cause = Cause("FieldValueInvalid", f"Invalid value: {value}: {why}", field)
    raise invalid("", "Service", service["metadata"]["name"], [cause])
