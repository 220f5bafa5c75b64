"""Columns of the cluster itself: nodes, namespaces, configuration and Events."""

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.tables.cells import (
    AGE,
    NAME,
    NONE,
    UNKNOWN,
    Column,
    Columns,
    age,
    always,
    field,
)


def _node_status(node: Object, _now: float) -> str:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", ())}
    ready = {"True": "Ready", None: "Unknown"}.get(conditions.get("Ready"), "NotReady")
    cordoned = node.get("spec", {}).get("unschedulable")
    return f"{ready},SchedulingDisabled" if cordoned else ready


def _node_roles(node: Object, _now: float) -> str:
    labels, prefix = node["metadata"].get("labels", {}), "node-role.kubernetes.io/"
    return ",".join(sorted(k.removeprefix(prefix) for k in labels if k.startswith(prefix))) or NONE


def _internal_ip(node: Object, _now: float) -> str:
    addresses = node["status"].get("addresses", ())
    return next((one["address"] for one in addresses if one["type"] == "InternalIP"), NONE)


def _kernel(node: Object, _now: float) -> str:
    facts = node["status"].get("nodeInfo", {})
    version, architecture = facts.get("kernelVersion"), facts.get("architecture")
    return f"{version} ({architecture})" if version else UNKNOWN


def _data_count(obj: Object, _now: float) -> int:
    return len(obj.get("data", ())) + len(obj.get("binaryData", ()))


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
    return age(next(filter(None, moments), None), now)


def _first_seen(event: Object, now: float) -> str:
    return age(event.get("firstTimestamp") or event.get("eventTime"), now)


def _event_count(event: Object, _now: float) -> int:
    return (event.get("series") or {}).get("count") or event.get("count") or 1


CLUSTER: dict[str, Columns] = {
    "Namespace": (NAME, Column("Status", field("status.phase")), AGE),
    "Node": (
        NAME, Column("Status", _node_status), Column("Roles", _node_roles), AGE,
        Column("Version", field("status.nodeInfo.kubeletVersion", "")),
        Column("Internal-IP", _internal_ip, 1), Column("External-IP", always(NONE), 1),
        Column("OS-Image", field("status.nodeInfo.osImage", UNKNOWN), 1),
        Column("Kernel-Version", _kernel, 1),
        Column("Container-Runtime", field("status.nodeInfo.containerRuntimeVersion", UNKNOWN), 1),
    ),
    "NodeMetrics": (
        NAME, Column("cpu", field("usage.cpu")), Column("memory", field("usage.memory")),
        Column("Window", field("window")),
    ),
    "ConfigMap": (NAME, Column("Data", _data_count), AGE),
    "Secret": (NAME, Column("Type", field("type")), Column("Data", _data_count), AGE),
    "Event": (
        Column("Last Seen", _last_seen), Column("Type", field("type", "")),
        Column("Reason", field("reason", "")), Column("Object", _event_object),
        Column("Subobject", field("involvedObject.fieldPath", ""), 1),
        Column("Source", _event_source, 1), Column("Message", _event_message),
        Column("First Seen", _first_seen, 1), Column("Count", _event_count, 1),
        Column("Name", field("metadata.name"), 1),
    ),
    "Lease": (NAME, Column("Holder", field("spec.holderIdentity", "")), AGE),
}  # fmt: skip
"""Kind -> its columns."""
