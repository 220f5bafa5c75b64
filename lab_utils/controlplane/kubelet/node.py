"""The Node object of this kubelet and its heartbeat, the Lease.

A new node registers itself; after that its status is written only when something changed, or when
somebody else (the node lifecycle controller) wrote that it is unknown.
"""

import asyncio
import contextlib
import os
import platform
import shutil
import uuid
from collections.abc import Coroutine
from pathlib import Path

from lab_utils.controlplane.config import ClusterConfig, NodeConfig
from lab_utils.controlplane.kubelet.addresses import Addresses
from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.kubelet.images import ImageStore
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import rfc3339, rfc3339_micro, utc_now

KUBELET_PORT = 10250
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_STATUS_PERIOD_S = 10.0
_ENOUGH_MEMORY = "kubelet has sufficient memory available"
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", _ENOUGH_MEMORY),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Node:
    """Registers the node, keeps its status true and its Lease fresh."""

    def __init__(
        self,
        client: ApiClient,
        config: ClusterConfig,
        node: NodeConfig,
        addresses: Addresses,
        images: ImageStore,
    ) -> None:
        self._client, self._config, self._node = client, config, node
        self._addresses, self._images = addresses, images
        self._capacity = node_capacity(config.max_pods)
        self._boot = str(uuid.uuid4())

    @property
    def path(self) -> str:
        """Give the Node's path in the API."""
        return f"/api/v1/nodes/{self._node.name}"

    async def keep_status(self) -> None:
        """Register, then compare and correct the status until cancelled."""
        while True:
            await _unless_away(self._sync())
            await asyncio.sleep(_STATUS_PERIOD_S)

    async def keep_lease(self) -> None:
        """Renew the Lease until cancelled."""
        while True:
            await _unless_away(self._renew())
            await asyncio.sleep(self._config.node_lease_renew_s)

    async def _sync(self) -> None:
        try:
            known = await self._client.get(self.path)
        except ApiError as exc:
            if exc.code != 404:
                raise
            known = await self._client.create("/api/v1/nodes", self.as_object())
        status = self.status(known.get("status", {}))
        if _what_matters(status) != _what_matters(known.get("status", {})):
            await self._client.patch(f"{self.path}/status", {"status": status})

    async def _renew(self) -> None:
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        spec = {
            "holderIdentity": self._node.name,
            "leaseDurationSeconds": int(self._config.node_lease_duration_s),
            "renewTime": rfc3339_micro(utc_now()),
        }
        try:
            await self._client.patch(f"{leases}/{self._node.name}", {"spec": spec})
        except ApiError as exc:
            if exc.code != 404:
                raise
            node = await self._client.get(self.path)
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._node.name}
            owner["uid"] = node["metadata"]["uid"]
            metadata = {"name": self._node.name, "namespace": "kube-node-lease"}
            await self._client.create(
                leases, {"metadata": metadata | {"ownerReferences": [owner]}, "spec": spec}
            )

    def as_object(self) -> Object:
        """Give the Node as it registers itself."""
        name, architecture = self._node.name, _architecture()
        labels = {
            "beta.kubernetes.io/arch": architecture,
            "beta.kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture,
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
        }
        cidr = self._addresses.pod_cidr
        spec: Object = {"podCIDR": cidr, "podCIDRs": [cidr]}
        spec["providerID"] = f"embedded://{self._config.name}/{name}"
        if self._node.control_plane:
            labels |= {_CONTROL_PLANE: ""}
            labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
            spec["taints"] = [{"key": _CONTROL_PLANE, "effect": "NoSchedule"}]
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels | self._node.labels},
            "spec": spec,
            "status": self.status({}),
        }

    def status(self, known: Object) -> Object:
        """Give the status as it should be now; unchanged conditions keep their times."""
        now = rfc3339(utc_now())
        return {
            "capacity": self._capacity,
            "allocatable": self._capacity,
            "conditions": _conditions(known, now),
            "addresses": [
                {"type": "InternalIP", "address": self._addresses.node},
                {"type": "Hostname", "address": self._node.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": self._node_info(),
            "images": [
                {"names": [image.name], "sizeBytes": image.size_bytes}
                for image in self._images.all()
            ],
        }

    def _node_info(self) -> Object:
        machine = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self._config.run_id}.{self._node.name}"))
        return {
            "machineID": machine.replace("-", ""),
            "systemUUID": machine,
            "bootID": self._boot,
            "kernelVersion": platform.release(),
            "osImage": platform.platform(terse=True),
            "containerRuntimeVersion": "process://1.0.0",
            "kubeletVersion": "v1.36.2",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": _architecture(),
        }


def node_capacity(max_pods: int) -> dict[str, str]:
    """Read what this machine has; each node says it has all of it, as Kind's nodes do."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": str(os.cpu_count() or 1),
        "ephemeral-storage": f"{shutil.disk_usage(Path.home().anchor).total // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{memory // 1024}Ki",
        "pods": str(max_pods),
    }


def _conditions(known: Object, now: str) -> list[Object]:
    before = {condition["type"]: condition for condition in known.get("conditions", [])}
    found = []
    for name, status, reason, message in _CONDITIONS:
        old = before.get(name, {})
        since = old["lastTransitionTime"] if old.get("status") == status else now
        condition = {"type": name, "status": status, "lastHeartbeatTime": now}
        found.append(
            condition | {"lastTransitionTime": since, "reason": reason, "message": message}
        )
    return found


def _what_matters(status: Object) -> Object:
    """Leave out what differs without meaning: the times of heartbeats."""
    conditions = [(c["type"], c["status"], c.get("reason")) for c in status.get("conditions", [])]
    kept = ("capacity", "allocatable", "addresses", "daemonEndpoints", "images", "nodeInfo")
    return {name: status.get(name) or None for name in kept} | {"conditions": sorted(conditions)}


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


async def _unless_away(work: Coroutine[None, None, None]) -> None:
    """Let a missed beat be missed: the next one comes soon."""
    with contextlib.suppress(ApiError, *UNREACHABLE):
        await work
