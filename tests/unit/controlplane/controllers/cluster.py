"""A whole control plane in one process, with a kubelet that is one more reconciler."""

import asyncio
import copy
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.actions import Action, Delete, Update
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.loop import CONTROLLERS, Controllers
from lab_utils.controlplane.controllers.objects import is_finished, is_terminating
from lab_utils.controlplane.controllers.world import Measured, World
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change, Store
from lab_utils.controlplane.timestamps import rfc3339

DEADLINE_S = 20.0
_ADDRESSES = itertools.count(2)


@dataclass
class Kubelet:
    """Starts and stops pods as the test wants: both by default at once; and ends them.

    `ends` gives the phase in which a pod that runs ends by itself, "" for one that runs on.
    """

    starts: Callable[[Object], bool] = lambda _pod: True
    stops: Callable[[Object], bool] = lambda _pod: True
    ends: Callable[[Object], str] = lambda _pod: ""

    def reconcile(self, pod: Object, _world: World, now: datetime) -> list[Action]:
        if not pod["spec"].get("nodeName") or is_finished(pod):
            return []
        if is_terminating(pod):
            return [Delete(pod, grace_s=0)] if self.stops(pod) else []
        if pod["status"].get("podIP"):
            end = self.ends(pod)
            return (
                [Update(pod | {"status": pod["status"] | {"phase": end}}, "status")] if end else []
            )
        if not self.starts(pod):
            return []
        pod = copy.deepcopy(pod)
        number = next(_ADDRESSES)
        pod["status"]["startTime"] = rfc3339(now)
        pod["status"] |= {"phase": "Running", "podIP": f"127.99.{number // 250}.{number % 250 + 2}"}
        pod["status"]["conditions"].append(
            {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(now)}
        )
        return [Update(pod, "status")]


@dataclass
class Cluster:
    """What a test works with."""

    registry: Registry
    controllers: Controllers
    kubelet: Kubelet
    changes: list[Change] = field(default_factory=list)

    def apply(self, kind: str, name: str, spec: Object | None = None, **metadata: Any) -> Object:
        """Create an object in namespace lab."""
        scope = {} if kind in ("Node", "Namespace") else {"namespace": "lab"}
        obj: Object = {"kind": kind, "metadata": {"name": name, **scope, **metadata}}
        return self.registry.create(kind, obj | ({"spec": spec} if spec is not None else {}))

    def deploy(self, name: str = "web", **spec: Any) -> Object:
        """Create a Deployment of pods labelled app=<name>."""
        labels = {"app": name}
        container = {"name": "c", "image": f"{name}:1"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        base = {"selector": {"matchLabels": labels}, "template": template, "replicas": 1}
        return self.apply("Deployment", name, base | spec)

    def edit(self, kind: str, name: str, change: Callable[[Object], None], part: str = "") -> None:
        """Change an object of namespace lab, or a Node."""
        namespace = "" if kind in ("Node", "Namespace") else "lab"
        obj = copy.deepcopy(self.registry.get(kind, namespace, name))
        change(obj)
        self.registry.update(kind, obj, subresource=part)

    def set_image(self, name: str, image: str) -> None:
        """Start a rollout."""

        def change(obj: Object) -> None:
            obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

        self.edit("Deployment", name, change)

    def pods(self, *, terminating: bool | None = None) -> list[Object]:
        """Give the pods of namespace lab."""
        pods = self.registry.list("Pod", "lab")
        return [pod for pod in pods if terminating in (None, is_terminating(pod))]

    def images(self) -> list[str]:
        """Give the image of every pod that is not terminating."""
        return sorted(p["spec"]["containers"][0]["image"] for p in self.pods(terminating=False))

    def status(self, kind: str = "Deployment", name: str = "web") -> Object:
        """Give an object's status; {} while there is none."""
        found = self.registry.find(kind, "" if kind == "Node" else "lab", name) or {}
        status: Object = found.get("status", {})
        return status

    def ready_replicas(self) -> int:
        """Give readyReplicas of the Deployment web."""
        count: int = self.status().get("readyReplicas", 0)
        return count

    def events(self) -> list[str]:
        """Give every event's reason and message."""
        events = self.registry.list("Event", "lab")
        return [f"{event['reason']}: {event['message']}" for event in events]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            await asyncio.sleep(0.001)

    async def settle(self) -> None:
        """Wait until the controllers have nothing left to do."""
        quiet, revision = 0, -1
        while quiet < 20:
            quiet = quiet + 1 if revision == self.registry.store.revision else 0
            revision = self.registry.store.revision
            await asyncio.sleep(0)


def node(name: str) -> Object:
    """Give a Node that is ready and has room."""
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
    at = "2026-11-23T15:00:00Z"
    ready |= {"lastHeartbeatTime": at, "lastTransitionTime": at}
    size = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": size, "conditions": [ready]},
    }


def make_cluster(
    config: ClusterConfig, kubelet: Kubelet | None = None, measured: Measured | None = None
) -> Cluster:
    """Make a cluster with two nodes and namespace lab; the caller starts and stops it."""
    kubelet = kubelet or Kubelet()
    registry = Registry(Store())
    row = Controller("kubelet", "Pod", kubelet.reconcile)
    measured = measured or (lambda _namespace, _pod: None)
    rows = (*CONTROLLERS, row)
    controllers = Controllers(registry, config, "CA", controllers=rows, measured=measured)
    cluster = Cluster(registry, controllers, kubelet)
    registry.store.subscribe(cluster.changes.append)
    for name in ("default", "kube-node-lease", "lab"):
        cluster.apply("Namespace", name)
    for name in ("w1", "w2"):
        registry.create("Node", node(name))
    return cluster
