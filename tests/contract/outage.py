"""A node loses its power and gets it back, while watches look on."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from lab_utils.backends import Backend
from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace, Object, holds, rolled_out
from tests.contract.history import Recorder, Row
from tests.contract.manifests import deployment, server, service

UNREACHABLE = "node.kubernetes.io/unreachable"
PATIENCE_S = 3


@dataclass
class Outage:
    """What was seen: `steady` tolerates 300 s and stays, `hasty` PATIENCE_S and moves."""

    node: str
    recorder: Recorder
    stopped_s: float
    started_s: float = 0.0

    def rows(self, kind: str, name: str) -> Iterator[Row]:
        """Give what happened to objects of this kind whose names begin so, from the stop on."""
        for row in self.recorder.rows:
            if row.kind == kind and row.name.startswith(name) and row.t_s >= self.stopped_s:
                yield row

    def seconds_until(self, kind: str, name: str, path: str, *values: object) -> float:
        """Give the time from the stop to the first row with such a field."""
        rows = (row for row in self.rows(kind, name) if row.fields.get(path) in values)
        return next(row.t_s for row in rows) - self.stopped_s


def prefer(node: str) -> Object:
    """Make a pod prefer a node, and leave it soon when it is unreachable."""
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    preferred = {"weight": 100, "preference": {"matchExpressions": [hostname]}}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}}
    toleration = {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute"}
    return {
        "affinity": affinity,
        "tolerations": [toleration | {"tolerationSeconds": PATIENCE_S}],
    }


def run(backend: Backend, namespace: Namespace, node: str) -> Outage:
    """Stop a node until its hasty pod has moved, start it, and see everything heal."""
    stay = {"nodeSelector": {"kubernetes.io/hostname": node}}
    namespace.create(
        deployment("steady", server(), template=stay), service("steady"),
        deployment("hasty", server(), template=prefer(node)), service("hasty"),
    )  # fmt: skip
    for name in ("steady", "hasty"):
        namespace.until("Deployment", name, rolled_out)
    recorder = Recorder(namespace, "Node", "Pod", "EndpointSlice", "Event")
    outage = Outage(node, recorder, recorder.now_s())
    try:
        with contextlib.ExitStack() as undone:
            undone.callback(backend.start_node, node)
            backend.stop_node(node)
            namespace.until("Deployment", "hasty", holds("Available", "False"), 90)
            namespace.until("Deployment", "hasty", rolled_out)
            outage.started_s = recorder.now_s()
        namespace.until("Deployment", "steady", rolled_out)
        late = AssertionError("the taints stay")
        wait_for(lambda: untainted(namespace, node), timeout_s=60, late=lambda: late)
        late = AssertionError("the evicted pod stays")
        wait_for(lambda: one_pod(namespace), timeout_s=60, late=lambda: late)
    finally:
        recorder.stop()
    return outage


def untainted(namespace: Namespace, node: str) -> bool | None:
    """Tell whether a node has no taints."""
    found = namespace.cluster.request("GET", f"/api/v1/nodes/{node}").body
    return None if found["spec"].get("taints") else True


def one_pod(namespace: Namespace) -> bool | None:
    """Tell whether the evicted pod has gone."""
    return True if len(namespace.objects("Pod", labelSelector="app=hasty")) == 1 else None
