"""Writes Kubernetes Events without ever making the kubelet wait for them.

Events are best effort: when the API server is away they are dropped.
"""

import asyncio

from lab_utils.controlplane.events import Correlator, Told
from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import utc_now

_COMPONENT = "kubelet"
_NOT_FOUND = 404


class Recorder:
    """Sends what happened, in order, from a task of its own."""

    def __init__(self, client: ApiClient, node: str) -> None:
        self._client, self._node = client, node
        self._correlator = Correlator()
        self._queue: asyncio.Queue[Object] = asyncio.Queue()

    def emit(self, pod: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """Note an Event of type Normal or Warning about a pod."""
        regarding = {"kind": "Pod", "apiVersion": "v1", "metadata": pod["metadata"]}
        told = Told(regarding, kind, reason, message, _COMPONENT, self._node, field_path)
        event = self._correlator.correlate(told, utc_now())
        if event is not None:
            self._queue.put_nowait(event)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._send(event)
            except (ApiError, *UNREACHABLE):
                continue

    async def _send(self, event: Object) -> None:
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        if event["count"] > 1:
            changed = {key: event[key] for key in ("count", "lastTimestamp", "message")}
            try:
                await self._client.patch(f"{path}/{event['metadata']['name']}", changed)
            except ApiError as exc:
                if exc.code != _NOT_FOUND:  # it is told again when it has expired
                    raise
            else:
                return
        await self._client.create(path, event)
