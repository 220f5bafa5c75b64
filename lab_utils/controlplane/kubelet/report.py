"""Keeps the API server's copy of one pod's status up to date, and its own copy of the pod."""

import asyncio
import logging

from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.status import ApiError, Object

_RETRY_S = 1.0
_log = logging.getLogger(__name__)
_REMOVABLE = ("podIP", "podIPs", "reason", "message")


class Reporter:
    """The newest known version of one pod; gone once the API server has none of this uid."""

    def __init__(self, client: ApiClient, pod: Object) -> None:
        self._client = client
        self.pod = pod
        self.gone = False

    @property
    def path(self) -> str:
        """Give the pod's path in the API."""
        metadata = self.pod["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"

    def take(self, pod: Object) -> None:
        """Take a version from a watch or an answer, unless it is older than the one known."""
        version = int(pod["metadata"]["resourceVersion"])
        if version >= int(self.pod["metadata"]["resourceVersion"]):
            self.pod = pod

    async def post(self, status: Object) -> None:
        """Write the status if it differs; try again while the API server does not answer."""
        known = self.pod.get("status", {})
        if self.gone or status == known:
            return
        removed = {name: None for name in _REMOVABLE if name in known and name not in status}
        change = {"metadata": {"uid": self.pod["metadata"]["uid"]}, "status": status | removed}
        while not self.gone:
            try:
                self.take(await self._client.patch(f"{self.path}/status", change))
                return
            except ApiError as exc:
                if exc.code < 500:
                    self.gone = exc.code in (404, 409)
                    _log.info("status of %s: %s", self.path, exc.message)
                    return
            except UNREACHABLE:
                pass
            await asyncio.sleep(_RETRY_S)

    async def delete(self) -> None:
        """Remove the pod from the API: nothing of it is left on this node."""
        uid = self.pod["metadata"]["uid"]
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        }
        while not self.gone:
            try:
                await self._client.delete(self.path, options)
                return
            except ApiError as exc:
                if exc.code < 500:
                    return
            except UNREACHABLE:
                pass
            await asyncio.sleep(_RETRY_S)
