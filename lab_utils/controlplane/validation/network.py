"""Which Services, endpoints and network policies are right.

Source:
    k8s.io/kubernetes/pkg/apis/{core,discovery,networking}/validation, whose texts these are.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import (
    Rows,
    any_value,
    each,
    labels,
    needed,
    number,
    one_of,
    port,
    port_number,
    protocol,
    repeated,
    text,
)

_DAY_S = 86400


def _service(spec: Object, at: str) -> Iterator[Cause]:
    kind, ports, address = spec.get("type"), spec.get("ports", []), spec.get("clusterIP")
    if not ports and address != "None" and kind != "ExternalName":
        yield causes.required(f"{at}.ports")
    if kind == "ExternalName" and not spec.get("externalName"):
        yield causes.required(f"{at}.externalName")
    if kind != "LoadBalancer" and spec.get("loadBalancerSourceRanges"):
        why = "may only be used when `type` is 'LoadBalancer'"
        yield causes.forbidden(f"{at}.loadBalancerSourceRanges", why)
    if spec.get("sessionAffinity") == "None" and spec.get("sessionAffinityConfig"):
        why = "must not be set when session affinity is None"
        yield causes.forbidden(f"{at}.sessionAffinityConfig", why)
    if kind in ("NodePort", "LoadBalancer") and address == "None":
        why = f"may not be set to 'None' for {kind} services"
        yield causes.invalid(f"{at}.clusterIPs[0]", "None", why)
    if address != "None":
        yield from text(formats.ip_address)(address, f"{at}.clusterIPs[0]")
    policy = spec.get("externalTrafficPolicy")
    if policy is not None and kind not in ("NodePort", "LoadBalancer"):
        why = "may only be set for externally-accessible services"
        yield causes.invalid(f"{at}.externalTrafficPolicy", policy, why)
    for i, one in enumerate(ports):
        if len(ports) > 1 and not one.get("name"):
            yield causes.required(f"{at}.ports[{i}].name")
        if kind == "ClusterIP" and one.get("nodePort"):
            why = "may not be used when `type` is 'ClusterIP'"
            yield causes.forbidden(f"{at}.ports[{i}].nodePort", why)
    yield from repeated((one.get("name"), f"{at}.ports[{i}].name") for i, one in enumerate(ports))
    yield from _repeated_ports(ports, f"{at}.ports")


def _repeated_ports(ports: list[Object], at: str) -> Iterator[Cause]:
    seen: set[tuple[str, int]] = set()
    node_ports: set[tuple[str, int]] = set()
    for i, one in enumerate(ports):
        key = (one.get("protocol", "TCP"), one.get("port", 0))
        if key in seen:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1],
                     "TargetPort": 0, "NodePort": 0}  # fmt: skip
            yield causes.duplicate(f"{at}[{i}]", shown)
        seen.add(key)
        taken = (key[0], one.get("nodePort", 0))
        if taken[1] and taken in node_ports:
            yield causes.duplicate(f"{at}[{i}].nodePort", taken[1])
        node_ports.add(taken)


def _external_ip(value: str, at: str) -> Iterator[Cause]:
    problems = [*text(formats.ip_address)(value, at)]
    if not problems and ipaddress.ip_address(value).is_loopback:
        why = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        problems = [causes.invalid(at, value, why)]
    yield from problems


def _peer(peer: Object, at: str) -> Iterator[Cause]:
    if not peer:
        yield causes.required(at, "must specify a peer")
    if "ipBlock" in peer and len(peer) > 1:
        yield causes.forbidden(at, "may not specify both ipBlock and another peer")


def _ip_block(block: Object, at: str) -> Iterator[Cause]:
    for i, hole in enumerate(block.get("except", ())):
        field, problems = f"{at}.except[{i}]", formats.cidr(hole)
        if not problems and not formats.cidr(block.get("cidr", "")):
            whole, part = (ipaddress.ip_network(one, strict=False) for one in (block["cidr"], hole))
            is_inside = whole.version == part.version and part.subnet_of(whole)  # type: ignore[arg-type]
            problems = [] if is_inside and part != whole else [_NO_SUBSET]
        yield from (causes.invalid(field, hole, why) for why in problems)


_NO_SUBSET = "must be a strict subset of `cidr`"


def _port_range(rule: Object, at: str) -> Iterator[Cause]:
    first, last = rule.get("port"), rule.get("endPort")
    if last is None:
        return
    if not isinstance(first, int):
        why = "may not be specified when `port` is " + ("non-numeric" if first else "not specified")
        yield causes.invalid(f"{at}.endPort", last, why)
    elif last < first:
        yield causes.invalid(f"{at}.endPort", last, "must be greater than or equal to `port`")


def _policy_types(types: list[str] | None, at: str) -> Iterator[Cause]:
    if len(types or ()) > 2:
        yield causes.invalid(at, types, "may not specify more than two policyTypes")
    else:
        yield from each(one_of("Ingress", "Egress"))(types, at)


def _slice(piece: Object, _at: str) -> Iterator[Cause]:
    if piece.get("addressType") != "IPv4":
        return
    for i, endpoint in enumerate(piece.get("endpoints") or ()):
        for j, address in enumerate(endpoint.get("addresses") or ()):
            yield from text(formats.ip_address)(address, f"endpoints[{i}].addresses[{j}]")


def _subset(subset: Object, at: str) -> Iterator[Cause]:
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        yield causes.required(at, "must specify `addresses` or `notReadyAddresses`")


def _port(value: Any, at: str) -> Iterator[Cause]:
    return port(value, at) if value is not None else iter(())


_endpoint_port = {
    "name": text(lambda name: formats.dns_label(name) if name else []), "protocol": protocol,
}  # fmt: skip
_traffic = one_of("Cluster", "Local")
NETWORK: Rows = {
    "V1ServiceSpec": {
        "": _service, "ports": any_value, "selector": labels,
        "sessionAffinity": one_of("ClientIP", "None"),
        "type": one_of("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"),
        "externalName": text(formats.dns_subdomain), "externalIPs": each(_external_ip),
        "externalTrafficPolicy": _traffic, "internalTrafficPolicy": _traffic,
        "ipFamilies": each(one_of("IPv4", "IPv6")),
    },
    "V1ClientIPConfig": {
        "timeoutSeconds": number(1, f"must be greater than 0 and less than {_DAY_S}", _DAY_S),
    },
    "V1ServicePort": {
        "name": text(formats.dns_label), "port": port_number, "protocol": protocol,
        "targetPort": port, "appProtocol": text(formats.qualified_name),
    },
    "V1EndpointSlice": {
        "metadata": any_value, "addressType": needed(one_of("FQDN", "IPv4", "IPv6")), "": _slice,
    },
    "V1Endpoint": {"addresses": needed(why="must contain at least 1 address")},
    "DiscoveryV1EndpointPort": _endpoint_port,
    "V1EndpointSubset": {"": _subset},
    "V1EndpointAddress": {"ip": text(formats.ip_address, absent="")},
    "CoreV1EndpointPort": _endpoint_port | {"port": port_number},
    "V1IPBlock": {"cidr": text(formats.cidr, absent=""), "": _ip_block},
    "V1NetworkPolicyPeer": {"": _peer},
    "V1NetworkPolicyPort": {"protocol": protocol, "port": _port, "": _port_range},
    "V1NetworkPolicySpec": {
        "podSelector": any_value, "ingress": any_value, "egress": any_value,
        "policyTypes": _policy_types,
    },
}  # fmt: skip
