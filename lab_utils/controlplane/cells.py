"""The cells of `kubectl get`: how each one is worked out of an object.

Every cell takes the object and the time in seconds since the epoch. Source:
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go
"""

from collections.abc import Callable
from typing import Any

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import human_duration, parse_rfc3339

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
_SHOWN_ENDPOINTS = 3
Cell = Callable[[Object, float], Any]


def field(path: str, default: Any = NONE) -> Cell:
    """Give a cell that shows one field: `spec.nodeName`."""
    steps = path.split(".")

    def cell(obj: Object, _now: float) -> Any:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return cell


def text(path: str, default: str = NONE) -> Cell:
    """Give a cell that shows one field as text."""
    inner = field(path, default)
    return lambda obj, now: str(inner(obj, now))


def age_of(moment: str | None, now: float) -> str:
    """Write how long ago a moment was; `<unknown>` without one."""
    return human_duration(now - parse_rfc3339(moment).timestamp()) if moment else UNKNOWN


def since(path: str) -> Cell:
    """Give a cell that shows how long ago the moment in a field was."""
    inner = field(path, None)
    return lambda obj, now: age_of(inner(obj, now), now)


def _pairs(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector(obj: Object, _now: float) -> str:
    """Write a LabelSelector as kubectl does: `app=web,tier in (a,b),!old`."""
    selector = obj["spec"].get("podSelector") or obj["spec"].get("selector") or {}
    if obj["kind"] == "Service":
        return _pairs(selector)
    terms = [] if not selector.get("matchLabels") else [_pairs(selector["matchLabels"])]
    for rule in selector.get("matchExpressions", ()):
        values = ",".join(sorted(rule.get("values") or ()))
        terms.append(_EXPRESSIONS[rule["operator"]].format(key=rule["key"], values=values))
    return ",".join(terms) or NONE


_EXPRESSIONS = {
    "In": "{key} in ({values})", "NotIn": "{key} notin ({values})",
    "Exists": "{key}", "DoesNotExist": "!{key}",
}  # fmt: skip


def template(part: str) -> Cell:
    """Give a cell that lists one field of the containers of a template."""

    def cell(obj: Object, _now: float) -> str:
        containers = obj["spec"].get("template", {}).get("spec", {}).get("containers", ())
        return ",".join(container[part] for container in containers)

    return cell


def gates(pod: Object, _now: float) -> str:
    """Count the readiness gates that are open: `1/2`."""
    wanted = pod["spec"].get("readinessGates", ())
    conditions = pod.get("status", {}).get("conditions", ())
    true = {one["type"] for one in conditions if one["status"] == "True"}
    return f"{sum(g['conditionType'] in true for g in wanted)}/{len(wanted)}" if wanted else NONE


def node_status(node: Object, _now: float) -> str:
    """Say whether a node is ready, and whether it is cordoned."""
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", ())}
    ready = {"True": "Ready", None: "Unknown"}.get(conditions.get("Ready"), "NotReady")
    cordoned = node.get("spec", {}).get("unschedulable")
    return f"{ready},SchedulingDisabled" if cordoned else ready


def node_roles(node: Object, _now: float) -> str:
    """List the roles that labels give a node."""
    labels, prefix = node["metadata"].get("labels", {}), "node-role.kubernetes.io/"
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or NONE


def node_address(kind: str) -> Cell:
    """Give a cell that shows a node's address of one type."""

    def cell(node: Object, _now: float) -> str:
        addresses = node["status"].get("addresses", ())
        return next((one["address"] for one in addresses if one["type"] == kind), NONE)

    return cell


def kernel(node: Object, _now: float) -> str:
    """Show the kernel's version and architecture."""
    facts = node["status"].get("nodeInfo", {})
    version, architecture = facts.get("kernelVersion"), facts.get("architecture")
    return f"{version} ({architecture})" if version else UNKNOWN


def external_ip(service: Object, _now: float) -> str:
    """Show where a Service is reached from outside."""
    spec, status = service["spec"], service.get("status", {})
    if spec["type"] == "ExternalName":
        return str(spec["externalName"])
    ingress = status.get("loadBalancer", {}).get("ingress", ())
    addresses = [one.get("ip") or one.get("hostname") for one in ingress]
    addresses += spec.get("externalIPs", [])
    return ",".join(addresses) or ("<pending>" if spec["type"] == "LoadBalancer" else NONE)


def service_ports(service: Object, _now: float) -> str:
    """List the ports of a Service: `80:30080/TCP`."""
    ports = [
        f"{port['port']}:{port['nodePort']}/{port['protocol']}"
        if port.get("nodePort")
        else f"{port['port']}/{port['protocol']}"
        for port in service["spec"].get("ports", ())
    ]
    return ",".join(ports) or NONE


def _shorten(items: list[str], empty: str = NONE) -> str:
    more = len(items) - _SHOWN_ENDPOINTS
    shown = ",".join(items[:_SHOWN_ENDPOINTS])
    return f"{shown} + {more} more..." if more > 0 else shown or empty


def endpoints(obj: Object, _now: float) -> str:
    """List the addresses of Endpoints: `10.0.0.1:80`."""
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets", ())
        for address in subset.get("addresses", ())
        for port in subset.get("ports", ())
    ]
    return _shorten(found)


def slice_ports(piece: Object, _now: float) -> str:
    """List the ports of an EndpointSlice."""
    return _shorten([str(port.get("port", "*")) for port in piece.get("ports") or ()], UNSET)


def slice_addresses(piece: Object, _now: float) -> str:
    """List the addresses of an EndpointSlice."""
    found = [one["addresses"][0] for one in piece.get("endpoints") or () if one["addresses"]]
    return _shorten(found, UNSET)


def data_count(obj: Object, _now: float) -> int:
    """Count the entries of a ConfigMap or Secret."""
    return len(obj.get("data", ())) + len(obj.get("binaryData", ()))


def deployment_ready(deployment: Object, _now: float) -> str:
    """Show ready against wanted: `1/2`."""
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{deployment['spec']['replicas']}"


def event_object(event: Object, _now: float) -> str:
    """Name what an event is about: `pod/web`."""
    about = event["involvedObject"]
    return "/".join(filter(None, (about.get("kind", "").lower(), about.get("name"))))


def event_source(event: Object, _now: float) -> str:
    """Name who reported an event."""
    source = event.get("source", {})
    component = source.get("component") or event.get("reportingComponent", "")
    return ", ".join(filter(None, (component, source.get("host"))))


def last_seen(event: Object, now: float) -> str:
    """Show how long ago an event happened last."""
    series = event.get("series") or {}
    moment = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return age_of(moment, now)


def first_seen(event: Object, now: float) -> str:
    """Show how long ago an event happened first."""
    return age_of(event.get("firstTimestamp") or event.get("eventTime"), now)


def event_count(event: Object, _now: float) -> int:
    """Count how often an event has happened."""
    return (event.get("series") or {}).get("count") or event.get("count") or 1
