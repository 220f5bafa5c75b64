"""A small client of the API server: one object at a time, and list + watch that misses nothing.

Hides TLS, the token, retries of a watch and the re-list after 410 Gone. The official client is not
used here: it would cost each kubelet 60 MiB.
"""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator
from typing import Any, Literal

import aiohttp

from lab_utils.controlplane.config import Layout
from lab_utils.controlplane.status import ApiError, Object

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=10)
_WATCH_S = 300
_WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_read=90)  # bookmarks each 60 s
_LONGEST_RETRY_S = 5.0
_LONGEST_LINE = 2 * 2**20  # one object in a watch
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
"""What a call raises while the API server does not answer."""

Event = tuple[Literal["SYNCED", "ADDED", "MODIFIED", "DELETED"], Any]


class ApiClient:
    """Speaks to one API server as one user; close() it at the end."""

    def __init__(self, url: str, token: str, tls: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(
            url,
            headers={"Authorization": f"Bearer {token}", "User-Agent": "kubelet/v1.36.2"},
            connector=aiohttp.TCPConnector(ssl=tls),
            read_bufsize=_LONGEST_LINE,
        )

    @classmethod
    def of_node(cls, layout: Layout, port: int, node: str) -> "ApiClient":
        """Connect as the kubelet of a node."""
        tls = ssl.create_default_context(cafile=str(layout.ca))
        return cls(f"https://127.0.0.1:{port}", layout.token_of(f"system:node:{node}"), tls)

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def get(self, path: str, **params: str) -> Object:
        """Read an object or a list."""
        return await self._call("GET", path, params=params)

    async def create(self, path: str, obj: Object) -> Object:
        """Create an object in the collection at path."""
        return await self._call("POST", path, _body(obj, "json"))

    async def patch(self, path: str, change: Object) -> Object:
        """Merge a change into an object (RFC 7386)."""
        return await self._call("PATCH", path, _body(change, "merge-patch+json"))

    async def delete(self, path: str, options: Object) -> Object:
        """Delete an object with DeleteOptions."""
        return await self._call("DELETE", path, _body(options, "json"))

    async def list_watch(self, path: str, **params: str) -> AsyncIterator[Event]:
        """Follow a collection for ever.

        Yields:
            ("SYNCED", all items) after each list, then (type, object) for each change.
        """
        retry_s = 0.0
        while True:
            try:
                listed = await self.get(path, **params)
                yield "SYNCED", listed["items"]
                version, retry_s = listed["metadata"]["resourceVersion"], 0.0
                async for event in self._watch(path, params, version):
                    yield event
            except (ApiError, *UNREACHABLE):
                await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311
                retry_s = min(max(0.2, retry_s * 2), _LONGEST_RETRY_S)

    async def _watch(self, path: str, params: dict[str, str], version: str) -> AsyncIterator[Event]:
        """Watch until the version is gone (410), which ends the iteration, or the server is."""
        while True:
            query = params | {
                "watch": "true",
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(_WATCH_S),
            }
            async with self._session.get(path, params=query, timeout=_WATCH_TIMEOUT) as response:
                await _raise_for_status(response)
                while line := await response.content.readuntil(b"\n"):
                    change = json.loads(line)
                    if change["type"] == "ERROR":
                        return
                    version = change["object"]["metadata"]["resourceVersion"]
                    if change["type"] != "BOOKMARK":
                        yield change["type"], change["object"]

    async def _call(
        self,
        method: str,
        path: str,
        body: aiohttp.Payload | None = None,
        params: dict[str, str] | None = None,
    ) -> Object:
        async with self._session.request(
            method, path, params=params, data=body, timeout=_REQUEST_TIMEOUT
        ) as response:
            await _raise_for_status(response)
            answer: Object = await response.json()
            return answer


def _body(obj: Object, media: str) -> aiohttp.Payload:
    return aiohttp.JsonPayload(obj, content_type=f"application/{media}")


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    text = await response.text()
    try:
        status = json.loads(text)
        reason, message = status["reason"], status["message"]
    except (ValueError, KeyError, TypeError):
        reason, message = "InternalError", text
    raise ApiError(response.status, reason, message)
