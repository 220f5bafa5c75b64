"""The kubelet: follows the pods bound to its node and gives each a worker."""

import asyncio
import logging
import shutil
from collections.abc import Iterator

from lab_utils.controlplane.kubelet.admission import refusal
from lab_utils.controlplane.kubelet.starting import NodeServices
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import Object

_REVIVE_S = 1.0
_RELIST_S = 1.0  # PLEG's period: how late the end of a container may be noticed
_log = logging.getLogger(__name__)


class Kubelet:
    """Holds one worker per pod, by uid: a pod made anew under an old name is another pod."""

    def __init__(self, node: NodeServices, name: str) -> None:
        self._node, self._name = node, name
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def workers(self) -> Iterator[PodWorker]:
        """Give the workers of all pods on this node."""
        yield from self._workers.values()

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """Find the worker of a pod by name; the newest, if an older one still ends."""
        for worker in reversed(self._workers.values()):
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return worker
        return None

    async def follow_pods(self) -> None:
        """Do what the API server says about this node's pods until cancelled."""
        selector = f"spec.nodeName={self._name}"
        changes = self._node.client.list_watch("/api/v1/pods", fieldSelector=selector)
        async for kind, found in changes:
            if kind == "SYNCED":
                self._sync(found)
            else:
                self._update(found, removed=kind == "DELETED")

    async def relist(self) -> None:
        """Look for ended containers every second until cancelled."""
        while True:
            for worker in self._workers.values():
                worker.relist()
            self._node.runtime.reap_orphans()
            await asyncio.sleep(_RELIST_S)

    async def close(self) -> None:
        """Kill everything on this node, at once and without telling anybody."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._node.runtime.close()

    def _sync(self, pods: list[Object]) -> None:
        """Take a whole list: what is not in it is gone, and so is what an earlier boot left."""
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"])):
            self._update(pod)
        present = {pod["metadata"]["uid"] for pod in pods}
        for uid in self._workers.keys() - present:
            self._workers[uid].removed()
        for folder in self._node.folder.iterdir():
            if folder.name not in self._workers:
                shutil.rmtree(folder, ignore_errors=True)

    def _update(self, pod: Object, *, removed: bool = False) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._workers:
            self._workers[uid].update(pod)
            if removed:
                self._workers[uid].removed()
        elif not removed:
            others = [other.pod for other in self._workers.values() if other.takes_room]
            self._workers[uid] = worker = PodWorker(pod, self._node)
            refused = refusal(pod, others, self._node.capacity)
            if refused and worker.takes_room:
                worker.refuse(*refused)
            self._tasks[uid] = task = asyncio.create_task(worker.run())
            task.add_done_callback(lambda _: self._forget(uid))

    def _forget(self, uid: str) -> None:
        """Let go of a pod that is gone; one whose worker failed gets another one."""
        worker, task = self._workers.pop(uid), self._tasks.pop(uid)
        if not task.cancelled() and (exc := task.exception()):
            _log.error("worker of pod %s failed", uid, exc_info=exc)
            asyncio.get_running_loop().call_later(_REVIVE_S, self._update, worker.pod)
