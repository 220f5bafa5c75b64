"""The Node object of this kubelet, its heartbeat (the Lease), and the addresses of its pods.

A new node registers itself; after that its status is written only when something changed, or when
somebody else (the node lifecycle controller) wrote that it is unknown.
"""

import asyncio
import contextlib
import os
import platform
import shutil
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable

from lab_utils.controlplane.config import ClusterConfig, NodeConfig
from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.kubelet.images import ImageStore
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import rfc3339, rfc3339_micro, utc_now

KUBELET_PORT = 10250
_NODES = "/api/v1/nodes"
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_THAWED_S = 1.0  # a timer that is so late was frozen
_ENOUGH_MEMORY = "kubelet has sufficient memory available"
_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", _ENOUGH_MEMORY),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class Addresses:
    """Gives 127.<octet>.<index>.2 to .254; one in use is never given again."""

    def __init__(self, octet: int, index: int) -> None:
        self._prefix = prefix = f"127.{octet}.{index}"
        self.node, self.pod_cidr = f"{prefix}.1", f"{prefix}.0/24"
        self._free = deque(f"{prefix}.{number}" for number in range(2, 255))

    def take(self) -> str:
        """Give a free address; LookupError, in the words of a network plugin, when none is."""
        if not self._free:
            span = f"{self._prefix}.2-{self._prefix}.254"
            raise LookupError(
                "failed to setup network for sandbox: failed to allocate for range 0: "
                f"no IP addresses available in range set: {span}"
            )
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        """Note that an address is free again."""
        self._free.append(address)


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
        self._capacity = capacity() | {"pods": str(config.max_pods)}
        self._boot = str(uuid.uuid4())

    async def keep_status(self) -> None:
        """Register, then compare and correct the status until cancelled.

        A kubelet compares with the Node that its watch last showed. Just thawed, it has not seen
        what was said about it meanwhile, and says nothing: the next look is a period later.
        """
        period_s = self._config.node_status_update_s
        late_s = 0.0
        while True:
            if late_s < _THAWED_S:
                with contextlib.suppress(ApiError, *UNREACHABLE):
                    await self._sync()
            began_s = time.monotonic()
            await asyncio.sleep(period_s)
            late_s = time.monotonic() - began_s - period_s

    async def keep_lease(self) -> None:
        """Renew the Lease until cancelled."""
        await _keep(self._renew, self._config.node_lease_renew_s)

    async def _sync(self) -> None:
        path = f"{_NODES}/{self._node.name}"
        try:
            known = await self._client.get(path)
        except ApiError as exc:
            if exc.code != 404:
                raise
            known = await self._client.create(_NODES, self._as_object())
        status = self._status(known.get("status", {}))
        if _what_matters(status) != _what_matters(known.get("status", {})):
            await self._client.patch(f"{path}/status", {"status": status})

    async def _renew(self) -> None:
        name = self._node.name
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": int(self._config.node_lease_duration_s),
            "renewTime": rfc3339_micro(utc_now()),
        }
        try:
            await self._client.patch(f"{_LEASES}/{name}", {"spec": spec})
        except ApiError as exc:
            if exc.code != 404:
                raise
            uid = (await self._client.get(f"{_NODES}/{name}"))["metadata"]["uid"]
            owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
            metadata = {"name": name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
            await self._client.create(_LEASES, {"metadata": metadata, "spec": spec})

    def _as_object(self) -> Object:
        """Give the Node as it registers itself."""
        name, cidr = self._node.name, self._addresses.pod_cidr
        labels = {"kubernetes.io/hostname": name}
        for prefix in ("kubernetes.io", "beta.kubernetes.io"):
            labels |= {f"{prefix}/arch": _ARCHITECTURE, f"{prefix}/os": "linux"}
        provider = f"embedded://{self._config.name}/{name}"
        spec: Object = {"podCIDR": cidr, "podCIDRs": [cidr], "providerID": provider}
        if self._node.control_plane:
            labels |= {_CONTROL_PLANE: ""}
            labels["node.kubernetes.io/exclude-from-external-load-balancers"] = ""
            spec["taints"] = [{"key": _CONTROL_PLANE, "effect": "NoSchedule"}]
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels | self._node.labels},
            "spec": spec,
            "status": self._status({}),
        }

    def _status(self, known: Object) -> Object:
        """Give the status as it should be now; unchanged conditions keep their times."""
        images = [
            {"names": [image.name], "sizeBytes": image.size_bytes} for image in self._images.all()
        ]
        return {
            "capacity": self._capacity,
            "allocatable": self._capacity,
            "conditions": _conditions(known, rfc3339(utc_now())),
            "addresses": [
                {"type": "InternalIP", "address": self._addresses.node},
                {"type": "Hostname", "address": self._node.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
            "nodeInfo": self._node_info(),
            "images": images,
        }

    def _node_info(self) -> Object:
        machine = uuid.uuid5(uuid.NAMESPACE_DNS, f"{self._config.run_id}.{self._node.name}")
        return {
            "machineID": machine.hex,
            "systemUUID": str(machine),
            "bootID": self._boot,
            "kernelVersion": platform.release(),
            "osImage": platform.platform(terse=True),
            "containerRuntimeVersion": "process://1.0.0",
            "kubeletVersion": "v1.36.2",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": _ARCHITECTURE,
        }


async def _keep(work: Callable[[], Awaitable[None]], period_s: float) -> None:
    """Do something every period; a missed beat is missed: the next one comes soon."""
    while True:
        with contextlib.suppress(ApiError, *UNREACHABLE):
            await work()
        await asyncio.sleep(period_s)


def capacity() -> dict[str, str]:
    """Read what this machine has; each node says it has all of it, as Kind's nodes do."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": str(os.cpu_count() or 1),
        "ephemeral-storage": f"{shutil.disk_usage('/').total // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{memory // 1024}Ki",
    }


def _conditions(known: Object, now: str) -> list[Object]:
    before = {(c["type"], c["status"]): c for c in known.get("conditions", [])}
    return [
        {
            "type": name,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": before.get((name, status), {}).get("lastTransitionTime", now),
            "reason": reason,
            "message": message,
        }
        for name, status, reason, message in _CONDITIONS
    ]


def _what_matters(status: Object) -> Object:
    """Leave out what differs without meaning: the times of heartbeats."""
    conditions = [(c["type"], c["status"], c.get("reason")) for c in status.get("conditions", [])]
    kept = ("capacity", "allocatable", "addresses", "daemonEndpoints", "images", "nodeInfo")
    return {name: status.get(name) or None for name in kept} | {"conditions": sorted(conditions)}
