"""The numbers a Service gets from the cluster: its clusterIP and its nodePorts.

What is taken is read from the Services that are there, so nothing can leak. Never routes anything.
Source: https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport
"""

import ipaddress
import json
import random
from collections.abc import Iterable, Iterator

from lab_utils.controlplane.status import ApiError, Cause, Object, invalid

CLUSTER_IPS = ipaddress.ip_network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_TAKEN = "provided port is already allocated"
_OUT_OF_RANGE = (
    "provided port is not in the valid range. The range of valid ports is "
    f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
)
_PortKey = tuple[str, int]


def carry_over(new: Object, live: Object) -> None:
    """Keep what a changed Service already has and its client did not send again."""
    spec, old = new["spec"], live["spec"]
    if "ExternalName" in (spec.get("type"), old.get("type")):
        return
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec |= {field: old[field] for field in ("clusterIP", "clusterIPs") if field in old}
    before = {_key(port, port["port"]): port.get("nodePort") for port in old.get("ports", ())}
    for port in spec.get("ports", ()):
        known = before.get(_key(port, port["port"]))
        if _wants_node_ports(spec):
            port |= {"nodePort": known} if known and not port.get("nodePort") else {}
        elif known and port.get("nodePort") == known:
            del port["nodePort"]


def _key(port: Object, number: int) -> _PortKey:
    return port.get("protocol", "TCP"), number


def _wants_node_ports(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def allocate(service: Object, others: Iterable[Object], *, dry_run: bool = False) -> None:
    """Give a Service what it asks for or lacks.

    A dry run does not see a taken address or a port out of range, just as in Kubernetes.

    Raises:
        ApiError: 422, an address or a port is taken or out of range.
    """
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return
    specs = [other["spec"] for other in others]
    taken = {other.get("clusterIP") for other in specs}
    spec.setdefault("clusterIP", (spec.get("clusterIPs") or [""])[0])
    if not spec["clusterIP"]:
        spec["clusterIP"] = _free_address(taken)
    elif spec["clusterIP"] != "None":
        _claim_address(service, set() if dry_run else taken)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec |= {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"} | spec
    if _wants_node_ports(spec):
        _allocate_node_ports(service, set(_node_ports(specs)), dry_run=dry_run)


def _free_address(taken: set[str | None]) -> str:
    while True:
        host = random.randrange(256, CLUSTER_IPS.num_addresses - 1)  # noqa: S311 no secret
        address = str(CLUSTER_IPS[host])
        if address not in taken:
            return address


def _claim_address(service: Object, taken: set[str | None]) -> None:
    address, why = service["spec"]["clusterIP"], ""
    if ipaddress.ip_address(address) not in CLUSTER_IPS:
        why = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is "
        why += str(CLUSTER_IPS)
    elif address in taken:
        why = "provided IP is already allocated"
    if why:
        shown = json.dumps([address])
        raise _refused(service, "clusterIPs", shown, f"failed to allocate IP {address}: {why}")


def _allocate_node_ports(service: Object, taken: set[_PortKey], *, dry_run: bool) -> None:
    ports = service["spec"].get("ports", ())
    wanted = set(_node_ports([service["spec"]]))
    for i, port in enumerate(ports):
        number, field = port.get("nodePort"), f"ports[{i}].nodePort"
        if not number:
            number = port["nodePort"] = _free_port(taken | wanted, port)
        elif number not in NODE_PORTS and not dry_run:
            raise _refused(service, field, str(number), _OUT_OF_RANGE)
        elif _key(port, number) in taken:
            raise _refused(service, field, str(number), _TAKEN)
        taken.add(_key(port, number))


def _node_ports(specs: Iterable[Object]) -> Iterator[_PortKey]:
    for spec in specs:
        for port in spec.get("ports", ()):
            if port.get("nodePort"):
                yield _key(port, port["nodePort"])


def _free_port(taken: set[_PortKey], port: Object) -> int:
    return random.choice([n for n in NODE_PORTS if _key(port, n) not in taken])  # noqa: S311


def _refused(service: Object, field: str, value: str, why: str) -> ApiError:
    cause = Cause("FieldValueInvalid", f"Invalid value: {value}: {why}", f"spec.{field}")
    return invalid("", "Service", service["metadata"]["name"], [cause])
