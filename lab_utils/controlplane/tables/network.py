"""Columns of what leads to pods."""

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.tables.cells import (
    AGE,
    NAME,
    NONE,
    UNSET,
    Column,
    Columns,
    field,
    selector,
)

_SHOWN_ENDPOINTS = 3


def _external_ip(service: Object, _now: float) -> str:
    """Show where a Service is reached from outside: nothing here balances load for anybody."""
    spec = service["spec"]
    pending = "<pending>" if spec["type"] == "LoadBalancer" else NONE
    return str(spec.get("externalName") or ",".join(spec.get("externalIPs", ())) or pending)


def _service_ports(service: Object, _now: float) -> str:
    """List the ports of a Service: `80:30080/TCP`."""
    ports = service["spec"].get("ports", ())
    numbers = [":".join(str(p[k]) for k in ("port", "nodePort") if p.get(k)) for p in ports]
    shown = (f"{n}/{port['protocol']}" for n, port in zip(numbers, ports, strict=True))
    return ",".join(shown) or NONE


def _shorten(items: list[str], empty: str) -> str:
    more = len(items) - _SHOWN_ENDPOINTS
    shown = ",".join(items[:_SHOWN_ENDPOINTS])
    return f"{shown} + {more} more..." if more > 0 else shown or empty


def _endpoints(obj: Object, _now: float) -> str:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets", ())
        for address in subset.get("addresses", ())
        for port in subset.get("ports", ())
    ]
    return _shorten(found, NONE)


def _slice_ports(piece: Object, _now: float) -> str:
    return _shorten([str(port.get("port", "*")) for port in piece.get("ports") or ()], UNSET)


def _slice_addresses(piece: Object, _now: float) -> str:
    found = [one["addresses"][0] for one in piece.get("endpoints") or () if one["addresses"]]
    return _shorten(found, UNSET)


NETWORK: dict[str, Columns] = {
    "Service": (
        NAME, Column("Type", field("spec.type")), Column("Cluster-IP", field("spec.clusterIP")),
        Column("External-IP", _external_ip), Column("Port(s)", _service_ports), AGE,
        Column("Selector", selector, 1),
    ),
    "Endpoints": (NAME, Column("Endpoints", _endpoints), AGE),
    "EndpointSlice": (
        NAME, Column("AddressType", field("addressType")), Column("Ports", _slice_ports),
        Column("Endpoints", _slice_addresses), AGE,
    ),
    "NetworkPolicy": (NAME, Column("Pod-Selector", selector), AGE),
}  # fmt: skip
"""Kind -> its columns."""
