"""Keeps the API server's copy of one pod's status up to date, and its own copy of the pod."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lab_utils.controlplane.kubelet.client import UNREACHABLE, ApiClient
from lab_utils.controlplane.status import ApiError, Object

_RETRY_S = 1.0
_log = logging.getLogger(__name__)
_REMOVABLE = ("podIP", "podIPs", "reason", "message")


class Reporter:
    """The newest known version of one pod; gone once the API server has none of this uid."""

    def __init__(self, client: ApiClient, pod: Object) -> None:
        self._client, self.pod, self.gone = client, pod, False
        metadata = pod["metadata"]
        self._uid = metadata["uid"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"

    @property
    def is_to_go(self) -> bool:
        """Tell whether the pod is being deleted, or has been."""
        return self.gone or "deletionTimestamp" in self.pod["metadata"]

    def take(self, pod: Object) -> None:
        """Take a version from a watch or an answer, unless it is older than the one known."""
        version = int(pod["metadata"]["resourceVersion"])
        if version >= int(self.pod["metadata"]["resourceVersion"]):
            self.pod = pod

    async def post(self, status: Object) -> None:
        """Write the status if it differs."""
        known = self.pod.get("status", {})
        if status == known:
            return
        removed = {name: None for name in _REMOVABLE if name in known and name not in status}
        change = {"metadata": {"uid": self._uid}, "status": status | removed}
        answer = await self._insist(lambda: self._client.patch(f"{self._path}/status", change))
        if answer is not None:
            self.take(answer)

    async def delete(self) -> None:
        """Remove the pod from the API: nothing of it is left on this node."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        options["preconditions"] = {"uid": self._uid}
        await self._insist(lambda: self._client.delete(self._path, options))

    async def _insist(self, call: Callable[[], Awaitable[Object]]) -> Object | None:
        """Try again while the API server does not answer; None if it refuses."""
        while not self.gone:
            try:
                return await call()
            except ApiError as exc:
                if exc.code < 500:
                    self.gone = exc.code in (404, 409)
                    _log.info("%s: %s", self._path, exc.message)
                    return None
            except UNREACHABLE:
                pass
            await asyncio.sleep(_RETRY_S)
        return None
