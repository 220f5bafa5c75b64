"""The columns of `kubectl get`: the server's Table of every kind, one row of data per column.

Hides how a cell is worked out of an object. Never decides which objects are shown.
Source: recorded Table responses of Kubernetes 1.36, and
https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab_utils.controlplane import cells
from lab_utils.controlplane.cells import UNKNOWN, Cell, field, since, text
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.podphase import pod_ready, pod_restarts, pod_status
from lab_utils.controlplane.status import Object


@dataclass(frozen=True)
class Column:
    """One column: priority 0 is always shown, 1 with `-o wide`."""

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"
    description: str = ""

    def definition(self) -> Object:
        """Give the wire form."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": self.description,
            "priority": self.priority,
        }


def table(
    row: Kind,
    metadata: Object,
    items: Sequence[Object],
    shown: Callable[[Object], Object | None],
    now: float,
) -> Object:
    """Give objects of one kind as a Table.

    Args:
        row: Their kind.
        metadata: Of the list.
        items: The objects.
        shown: What each row carries of its object.
        now: Seconds since the epoch, for ages.
    """
    columns = COLUMNS.get(row.name, (_NAME, _AGE))
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


_NAME = Column("Name", field("metadata.name"))
_AGE = Column("Age", since("metadata.creationTimestamp"))
_WORKLOAD = (
    Column("Containers", cells.template("name"), 1),
    Column("Images", cells.template("image"), 1),
    Column("Selector", cells.selector, 1),
)
COLUMNS: dict[str, tuple[Column, ...]] = {
    "Namespace": (_NAME, Column("Status", field("status.phase")), _AGE),
    "Node": (
        _NAME, Column("Status", cells.node_status), Column("Roles", cells.node_roles), _AGE,
        Column("Version", field("status.nodeInfo.kubeletVersion", "")),
        Column("Internal-IP", cells.node_address("InternalIP"), 1),
        Column("External-IP", cells.node_address("ExternalIP"), 1),
        Column("OS-Image", field("status.nodeInfo.osImage", UNKNOWN), 1),
        Column("Kernel-Version", cells.kernel, 1),
        Column("Container-Runtime", field("status.nodeInfo.containerRuntimeVersion", UNKNOWN), 1),
    ),
    "Pod": (
        _NAME, Column("Ready", pod_ready), Column("Status", lambda pod, _now: pod_status(pod)),
        Column("Restarts", pod_restarts), _AGE,
        Column("IP", field("status.podIP"), 1), Column("Node", field("spec.nodeName"), 1),
        Column("Nominated Node", field("status.nominatedNodeName"), 1),
        Column("Readiness Gates", cells.gates, 1),
    ),
    "Service": (
        _NAME, Column("Type", field("spec.type")), Column("Cluster-IP", field("spec.clusterIP")),
        Column("External-IP", cells.external_ip), Column("Port(s)", cells.service_ports), _AGE,
        Column("Selector", cells.selector, 1),
    ),
    "Endpoints": (_NAME, Column("Endpoints", cells.endpoints), _AGE),
    "EndpointSlice": (
        _NAME, Column("AddressType", field("addressType")), Column("Ports", cells.slice_ports),
        Column("Endpoints", cells.slice_addresses), _AGE,
    ),
    "ConfigMap": (_NAME, Column("Data", cells.data_count), _AGE),
    "Secret": (_NAME, Column("Type", field("type")), Column("Data", cells.data_count), _AGE),
    "Event": (
        Column("Last Seen", cells.last_seen), Column("Type", field("type", "")),
        Column("Reason", field("reason", "")), Column("Object", cells.event_object),
        Column("Subobject", field("involvedObject.fieldPath", ""), 1),
        Column("Source", cells.event_source, 1),
        Column("Message", lambda event, _now: event.get("message", "").strip()),
        Column("First Seen", cells.first_seen, 1), Column("Count", cells.event_count, 1),
        Column("Name", field("metadata.name"), 1),
    ),
    "Deployment": (
        _NAME, Column("Ready", cells.deployment_ready),
        Column("Up-to-date", field("status.updatedReplicas", 0)),
        Column("Available", field("status.availableReplicas", 0)), _AGE, *_WORKLOAD,
    ),
    "ReplicaSet": (
        _NAME, Column("Desired", field("spec.replicas", 0), type="integer"),
        Column("Current", field("status.replicas", 0), type="integer"),
        Column("Ready", field("status.readyReplicas", 0), type="integer"), _AGE, *_WORKLOAD,
    ),
    "Lease": (_NAME, Column("Holder", field("spec.holderIdentity", "")), _AGE),
    "NetworkPolicy": (_NAME, Column("Pod-Selector", cells.selector), _AGE),
    "PodDisruptionBudget": (
        _NAME, Column("Min Available", text("spec.minAvailable", "N/A")),
        Column("Max Unavailable", text("spec.maxUnavailable", "N/A")),
        Column("Allowed Disruptions", field("status.disruptionsAllowed", 0), type="integer"), _AGE,
    ),
}  # fmt: skip
"""Kind -> its columns; a kind without an entry shows name and age."""
