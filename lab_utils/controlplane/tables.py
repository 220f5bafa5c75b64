"""The columns of `kubectl get`: the server's Table of every kind, one row of data per column.

Every cell takes the object and the time in seconds since the epoch. Never decides which objects
are shown.
Source: recorded Table responses of Kubernetes 1.36, and
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.podphase import pod_ready, pod_restarts, pod_status
from lab_utils.controlplane.quantities import canonical_quantity
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import human_duration, parse_rfc3339
from lab_utils.units import parse_quantity

_NONE, _UNKNOWN, _UNSET = "<none>", "<unknown>", "<unset>"
_SHOWN_ENDPOINTS, _SHOWN_METRICS = 3, 2
Cell = Callable[[Object, float], Any]


@dataclass(frozen=True)
class Column:
    """One column: priority 0 is always shown, 1 with `-o wide`."""

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"

    def definition(self) -> Object:
        """Give the wire form."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": "",
            "priority": self.priority,
        }


def table(
    row: Kind,
    metadata: Object,
    items: Sequence[Object],
    shown: Callable[[Object], Object | None],
    now: float,
) -> Object:
    """Give objects of one kind as a Table; shown makes what each row carries of its object."""
    columns = _COLUMNS.get(row.name, (_NAME, _AGE))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(item, now) for column in columns], "object": shown(item)}
            for item in items
        ],
    }


def _field(path: str, default: Any = _NONE) -> Cell:
    """Give a cell that shows one field: `spec.nodeName`."""
    steps = path.split(".")

    def cell(obj: Object, _now: float) -> Any:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return cell


def _text(path: str, default: str) -> Cell:
    inner = _field(path, default)
    return lambda obj, now: str(inner(obj, now))


def _always(value: Any) -> Cell:
    return lambda _obj, _now: value


def _age(moment: str | None, now: float) -> str:
    return human_duration(now - parse_rfc3339(moment).timestamp()) if moment else _UNKNOWN


def _since_creation(obj: Object, now: float) -> str:
    return _age(obj["metadata"].get("creationTimestamp"), now)


def _pairs(labels: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or _NONE


def _selector(obj: Object, _now: float) -> str:
    """Write a LabelSelector as kubectl does: `app=web,tier in (a,b),!old`."""
    selector = obj["spec"].get("podSelector") or obj["spec"].get("selector") or {}
    if obj["kind"] == "Service":
        return _pairs(selector)
    terms = [_pairs(selector["matchLabels"])] if selector.get("matchLabels") else []
    for rule in selector.get("matchExpressions", ()):
        values = ",".join(sorted(rule.get("values") or ()))
        terms.append(_EXPRESSIONS[rule["operator"]].format(key=rule["key"], values=values))
    return ",".join(terms) or _NONE


_EXPRESSIONS = {
    "In": "{key} in ({values})", "NotIn": "{key} notin ({values})",
    "Exists": "{key}", "DoesNotExist": "!{key}",
}  # fmt: skip


def _of_template(part: str) -> Cell:
    """Give a cell that lists one field of the containers of a template."""

    def cell(obj: Object, _now: float) -> str:
        containers = obj["spec"].get("template", {}).get("spec", {}).get("containers", ())
        return ",".join(container[part] for container in containers)

    return cell


def _node_status(node: Object, _now: float) -> str:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", ())}
    ready = {"True": "Ready", None: "Unknown"}.get(conditions.get("Ready"), "NotReady")
    cordoned = node.get("spec", {}).get("unschedulable")
    return f"{ready},SchedulingDisabled" if cordoned else ready


def _node_roles(node: Object, _now: float) -> str:
    labels, prefix = node["metadata"].get("labels", {}), "node-role.kubernetes.io/"
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or _NONE


def _internal_ip(node: Object, _now: float) -> str:
    addresses = node["status"].get("addresses", ())
    return next((one["address"] for one in addresses if one["type"] == "InternalIP"), _NONE)


def _kernel(node: Object, _now: float) -> str:
    facts = node["status"].get("nodeInfo", {})
    version, architecture = facts.get("kernelVersion"), facts.get("architecture")
    return f"{version} ({architecture})" if version else _UNKNOWN


def _external_ip(service: Object, _now: float) -> str:
    """Show where a Service is reached from outside: nothing here balances load for anybody."""
    spec = service["spec"]
    pending = "<pending>" if spec["type"] == "LoadBalancer" else _NONE
    return str(spec.get("externalName") or ",".join(spec.get("externalIPs", ())) or pending)


def _service_ports(service: Object, _now: float) -> str:
    """List the ports of a Service: `80:30080/TCP`."""
    ports = service["spec"].get("ports", ())
    numbers = [":".join(str(p[k]) for k in ("port", "nodePort") if p.get(k)) for p in ports]
    shown = (f"{n}/{port['protocol']}" for n, port in zip(numbers, ports, strict=True))
    return ",".join(shown) or _NONE


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
    return _shorten(found, _NONE)


def _slice_ports(piece: Object, _now: float) -> str:
    return _shorten([str(port.get("port", "*")) for port in piece.get("ports") or ()], _UNSET)


def _slice_addresses(piece: Object, _now: float) -> str:
    found = [one["addresses"][0] for one in piece.get("endpoints") or () if one["addresses"]]
    return _shorten(found, _UNSET)


def _data_count(obj: Object, _now: float) -> int:
    return len(obj.get("data", ())) + len(obj.get("binaryData", ()))


def _deployment_ready(deployment: Object, _now: float) -> str:
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return f"{ready}/{deployment['spec']['replicas']}"


_JOB_STATUSES = (
    ("Complete", "Complete"), ("Failed", "Failed"), ("", "Terminating"), ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)  # fmt: skip


def _job_status(job: Object, _now: float) -> str:
    conditions = job.get("status", {}).get("conditions") or ()
    seen = {one["type"] for one in conditions if one["status"] == "True"}
    seen |= {""} if "deletionTimestamp" in job["metadata"] else set()
    return next((text for condition, text in _JOB_STATUSES if condition in seen), "Running")


def _job_completions(job: Object, _now: float) -> str:
    done, spec = job.get("status", {}).get("succeeded", 0), job["spec"]
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def _job_duration(job: Object, now: float) -> str:
    status = job.get("status", {})
    if not status.get("startTime"):
        return ""
    end = status.get("completionTime")
    return _age(status["startTime"], parse_rfc3339(end).timestamp() if end else now)


def _pod_usage(resource: str) -> Cell:
    """Give a cell that adds up what the containers of a pod use."""

    def cell(pod: Object, _now: float) -> str:
        used = sum(parse_quantity(one["usage"][resource]) for one in pod["containers"])
        return canonical_quantity(f"{used // 1024}Ki" if resource == "memory" else str(used))

    return cell


def _scale_target(autoscaler: Object, _now: float) -> str:
    target = autoscaler["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _scaling_targets(autoscaler: Object, _now: float) -> str:
    """List what an autoscaler sees against what it wants: `cpu: 10%/60%`."""
    metrics = autoscaler["spec"].get("metrics") or ()
    seen = autoscaler.get("status", {}).get("currentMetrics") or ()
    shown = [_scaling_target(*pair) for pair in zip_longest(metrics, seen[: len(metrics)])]
    more = len(shown) - _SHOWN_METRICS
    text = ", ".join(shown[:_SHOWN_METRICS])
    return f"{text} + {more} more..." if more > 0 else text or _NONE


def _scaling_target(wanted: Object, seen: Object | None) -> str:
    source = wanted["type"][0].lower() + wanted["type"][1:]
    rule, current = wanted[source], (seen or {}).get(source, {}).get("current", {})
    name = f"{rule['name']}: " if "name" in rule else ""
    for key, unit in (("averageUtilization", "%"), ("averageValue", ""), ("value", "")):
        if key in rule["target"]:
            left = f"{current[key]}{unit}" if key in current else _UNKNOWN
            return f"{name}{left}/{rule['target'][key]}{unit}"
    return f"{name}{_UNKNOWN}/<auto>"


def _event_object(event: Object, _now: float) -> str:
    """Name what an event is about: `pod/web`."""
    about = event["involvedObject"]
    return "/".join(filter(None, (about.get("kind", "").lower(), about.get("name"))))


def _event_source(event: Object, _now: float) -> str:
    source = event.get("source", {})
    component = source.get("component") or event.get("reportingComponent", "")
    return ", ".join(filter(None, (component, source.get("host"))))


def _event_message(event: Object, _now: float) -> str:
    return str(event.get("message", "")).strip()


def _last_seen(event: Object, now: float) -> str:
    series = event.get("series") or {}
    moments = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return _age(next(filter(None, moments), None), now)


def _first_seen(event: Object, now: float) -> str:
    return _age(event.get("firstTimestamp") or event.get("eventTime"), now)


def _event_count(event: Object, _now: float) -> int:
    return (event.get("series") or {}).get("count") or event.get("count") or 1


_NAME = Column("Name", _field("metadata.name"))
_AGE = Column("Age", _since_creation)
_WORKLOAD = (
    Column("Containers", _of_template("name"), 1),
    Column("Images", _of_template("image"), 1),
    Column("Selector", _selector, 1),
)
# A kind without an entry shows name and age.
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "Namespace": (_NAME, Column("Status", _field("status.phase")), _AGE),
    "Node": (
        _NAME, Column("Status", _node_status), Column("Roles", _node_roles), _AGE,
        Column("Version", _field("status.nodeInfo.kubeletVersion", "")),
        Column("Internal-IP", _internal_ip, 1), Column("External-IP", _always(_NONE), 1),
        Column("OS-Image", _field("status.nodeInfo.osImage", _UNKNOWN), 1),
        Column("Kernel-Version", _kernel, 1),
        Column("Container-Runtime", _field("status.nodeInfo.containerRuntimeVersion", _UNKNOWN), 1),
    ),
    "Pod": (
        _NAME, Column("Ready", pod_ready), Column("Status", pod_status),
        Column("Restarts", pod_restarts), _AGE,
        Column("IP", _field("status.podIP"), 1), Column("Node", _field("spec.nodeName"), 1),
        Column("Nominated Node", _always(_NONE), 1), Column("Readiness Gates", _always(_NONE), 1),
    ),
    "Service": (
        _NAME, Column("Type", _field("spec.type")), Column("Cluster-IP", _field("spec.clusterIP")),
        Column("External-IP", _external_ip), Column("Port(s)", _service_ports), _AGE,
        Column("Selector", _selector, 1),
    ),
    "Endpoints": (_NAME, Column("Endpoints", _endpoints), _AGE),
    "EndpointSlice": (
        _NAME, Column("AddressType", _field("addressType")), Column("Ports", _slice_ports),
        Column("Endpoints", _slice_addresses), _AGE,
    ),
    "ConfigMap": (_NAME, Column("Data", _data_count), _AGE),
    "Secret": (_NAME, Column("Type", _field("type")), Column("Data", _data_count), _AGE),
    "Event": (
        Column("Last Seen", _last_seen), Column("Type", _field("type", "")),
        Column("Reason", _field("reason", "")), Column("Object", _event_object),
        Column("Subobject", _field("involvedObject.fieldPath", ""), 1),
        Column("Source", _event_source, 1), Column("Message", _event_message),
        Column("First Seen", _first_seen, 1), Column("Count", _event_count, 1),
        Column("Name", _field("metadata.name"), 1),
    ),
    "Deployment": (
        _NAME, Column("Ready", _deployment_ready),
        Column("Up-to-date", _field("status.updatedReplicas", 0)),
        Column("Available", _field("status.availableReplicas", 0)), _AGE, *_WORKLOAD,
    ),
    "ReplicaSet": (
        _NAME, Column("Desired", _field("spec.replicas", 0), type="integer"),
        Column("Current", _field("status.replicas", 0), type="integer"),
        Column("Ready", _field("status.readyReplicas", 0), type="integer"), _AGE, *_WORKLOAD,
    ),
    "Job": (
        _NAME, Column("Status", _job_status), Column("Completions", _job_completions),
        Column("Duration", _job_duration), _AGE, *_WORKLOAD,
    ),
    "HorizontalPodAutoscaler": (
        _NAME, Column("Reference", _scale_target), Column("Targets", _scaling_targets),
        Column("MinPods", _text("spec.minReplicas", _UNSET)),
        Column("MaxPods", _field("spec.maxReplicas", 0)),
        Column("Replicas", _field("status.currentReplicas", 0)), _AGE,
    ),
    "NodeMetrics": (
        _NAME, Column("cpu", _field("usage.cpu")), Column("memory", _field("usage.memory")),
        Column("Window", _field("window")),
    ),
    "PodMetrics": (
        _NAME, Column("cpu", _pod_usage("cpu")), Column("memory", _pod_usage("memory")),
        Column("Window", _field("window")),
    ),
    "Lease": (_NAME, Column("Holder", _field("spec.holderIdentity", "")), _AGE),
    "NetworkPolicy": (_NAME, Column("Pod-Selector", _selector), _AGE),
    "PodDisruptionBudget": (
        _NAME, Column("Min Available", _text("spec.minAvailable", "N/A")),
        Column("Max Unavailable", _text("spec.maxUnavailable", "N/A")),
        Column("Allowed Disruptions", _field("status.disruptionsAllowed", 0), type="integer"), _AGE,
    ),
}  # fmt: skip
