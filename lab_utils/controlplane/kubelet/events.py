"""Writes Kubernetes Events without ever making the kubelet wait for them.

The same thing happening again raises the count of the Event that is there, as client-go's
correlator does. Events are best effort: when the API server is away they are dropped.
"""

import asyncio
import time
from dataclasses import dataclass, field

from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import rfc3339, utc_now

_REMEMBERED = 1024


@dataclass(frozen=True)
class Occurrence:
    """One thing that happened to a pod, or to one of its containers."""

    pod: Object = field(compare=False)
    uid: str
    field_path: str
    type: str
    reason: str
    message: str


class Recorder:
    """Sends what happened, in order, from a task of its own."""

    def __init__(self, client: ApiClient, node: str) -> None:
        self._client, self._node = client, node
        self._queue: asyncio.Queue[Occurrence] = asyncio.Queue()
        self._known: dict[Occurrence, Object] = {}

    def emit(self, pod: Object, kind: str, reason: str, message: str, field_path: str = "") -> None:
        """Note an Event of type Normal or Warning about a pod."""
        uid = pod["metadata"]["uid"]
        self._queue.put_nowait(Occurrence(pod, uid, field_path, kind, reason, message))

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            occurrence = await self._queue.get()
            known = self._known.pop(occurrence, None)
            try:
                self._known[occurrence] = await self._send(occurrence, known)
            except (ApiError, *UNREACHABLE):
                continue
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]

    async def _send(self, occurrence: Occurrence, known: Object | None) -> Object:
        namespace = occurrence.pod["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{namespace}/events"
        if known is None:
            return await self._client.create(path, self._event(occurrence))
        change = {"count": known["count"] + 1, "lastTimestamp": rfc3339(utc_now())}
        return await self._client.patch(f"{path}/{known['metadata']['name']}", change)

    def _event(self, occurrence: Occurrence) -> Object:
        metadata, now = occurrence.pod["metadata"], rfc3339(utc_now())
        named = {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")}
        regarding = {"kind": "Pod", "apiVersion": "v1", **named}
        if occurrence.field_path:
            regarding["fieldPath"] = occurrence.field_path
        name = f"{metadata['name']}.{time.time_ns():x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": regarding,
            "reason": occurrence.reason,
            "message": occurrence.message,
            "source": {"component": "kubelet", "host": self._node},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": occurrence.type,
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
        }
