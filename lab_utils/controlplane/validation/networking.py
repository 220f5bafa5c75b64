"""Which Services, EndpointSlices and NetworkPolicies are right.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation, pkg/apis/discovery/validation and
    pkg/apis/networking/validation
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.containers import PROTOCOLS, number_or_name_causes
from lab_utils.controlplane.validation.metadata import label_causes, selector_causes

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def service_causes(new: Object) -> Iterator[Cause]:
    """Check a Service."""
    spec = new.get("spec", {})
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    ports: list[Object] = spec.get("ports", [])
    if not ports and not headless and kind != "ExternalName":
        yield causes.required("spec.ports")
    if kind == "ExternalName" and not spec.get("externalName"):
        yield causes.required("spec.externalName")
    if kind in ("NodePort", "LoadBalancer") and headless:
        why = f"may not be set to 'None' for {kind} services"
        yield causes.invalid("spec.clusterIPs[0]", "None", why)
    for i, port in enumerate(ports):
        yield from _service_port_causes(port, f"spec.ports[{i}]", named=len(ports) > 1)
    yield from _repeated_port_causes(ports)
    yield from label_causes(spec.get("selector"), "spec.selector")
    yield from causes.choice(
        "spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None")
    )
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    yield from causes.choice("spec.type", kind, kinds)
    if kind == "ClusterIP":
        for i, port in enumerate(ports):
            if port.get("nodePort"):
                why = "may not be used when `type` is 'ClusterIP'"
                yield causes.forbidden(f"spec.ports[{i}].nodePort", why)
    policy = spec.get("externalTrafficPolicy")
    if policy is not None and kind not in ("NodePort", "LoadBalancer"):
        why = "may only be set for externally-accessible services"
        yield causes.invalid("spec.externalTrafficPolicy", policy, why)
    address = spec.get("clusterIP")
    if address and not headless:
        yield from causes.each_invalid("spec.clusterIPs[0]", address, formats.ip_address(address))


def _service_port_causes(port: Object, field: str, *, named: bool) -> Iterator[Cause]:
    name, number = port.get("name", ""), port.get("port", 0)
    if named and not name:
        yield causes.required(f"{field}.name")
    if name:
        yield from causes.each_invalid(f"{field}.name", name, formats.dns_label(name))
    yield from causes.each_invalid(f"{field}.port", number, formats.port_number(number))
    yield from causes.choice(f"{field}.protocol", port.get("protocol"), PROTOCOLS)
    yield from number_or_name_causes(port.get("targetPort", number), f"{field}.targetPort")


def _repeated_port_causes(ports: list[Object]) -> Iterator[Cause]:
    seen: set[tuple[str, int]] = set()
    for i, port in enumerate(ports):
        key = (port.get("protocol", "TCP"), port.get("port", 0))
        if key in seen:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1],
                     "TargetPort": 0, "NodePort": 0}  # fmt: skip
            yield causes.duplicate(f"spec.ports[{i}]", shown)
        seen.add(key)


def cluster_ip_is_kept(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse another address for a Service that has one."""
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    changes_kind = "ExternalName" in (old["spec"].get("type"), new["spec"].get("type"))
    if before and after and before != after and not changes_kind:
        yield causes.invalid("spec.clusterIPs[0]", [after], "may not change once set")


def network_policy_causes(new: Object) -> Iterator[Cause]:
    """Check a NetworkPolicy."""
    spec = new.get("spec", {})
    yield from selector_causes(spec.get("podSelector", {}), "spec.podSelector")
    for way, ends in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(spec.get(way, [])):
            for j, peer in enumerate(rule.get(ends, [])):
                yield from _peer_causes(peer, f"spec.{way}[{i}].{ends}[{j}]")
    for i, kind in enumerate(spec.get("policyTypes", [])):
        yield from causes.choice(f"spec.policyTypes[{i}]", kind, ("Ingress", "Egress"))


def _peer_causes(peer: Object, field: str) -> Iterator[Cause]:
    if "ipBlock" in peer:
        network = peer["ipBlock"].get("cidr", "")
        yield from causes.each_invalid(f"{field}.ipBlock.cidr", network, formats.cidr(network))
    for name in ("podSelector", "namespaceSelector"):
        yield from selector_causes(peer.get(name, {}), f"{field}.{name}")


def slice_causes(new: Object) -> Iterator[Cause]:
    """Check an EndpointSlice."""
    if not new.get("addressType"):
        yield causes.required("addressType")
    else:
        yield from causes.choice("addressType", new["addressType"], _ADDRESS_TYPES)


def address_type_is_kept(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse another address type."""
    if new.get("addressType") != old.get("addressType"):
        yield causes.immutable("addressType", new.get("addressType"))
