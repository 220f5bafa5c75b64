"""Requests that the API server passes on: to kubelets (logs, exec), pods and Services.

Hides where they go and what is taken off on the way: a client's token never leaves the API server.
A connection that is upgraded (to a WebSocket, mostly) is carried as it is.
"""

import os
import random
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from lab_utils.controlplane.config import API_SERVER, Layout
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError, bad_request
from lab_utils.controlplane.targets import (
    choose_container,
    first_port,
    port_name,
    ready_targets,
    split_name,
)
from lab_utils.controlplane.upgrade import carry, wanted_upgrade

_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
    "transfer-encoding", "upgrade", "host", "authorization", "content-length",
}  # fmt: skip
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)
_STREAMS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}
"""Subresource of a pod -> path of its kubelet."""


class _Unreachable(Exception):
    """Nobody answered; the message says why, as Go would."""


class Forwarder:
    """The API server as a client of kubelets and pods."""

    def __init__(self, layout: Layout, registry: Registry) -> None:
        self._layout, self._registry = layout, registry
        self._opened: dict[bool, aiohttp.ClientSession] = {}
        self._kubelet_tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close every connection."""
        for session in self._opened.values():
            await session.close()

    async def logs(self, request: web.Request, namespace: str, pod: str) -> web.StreamResponse:
        """Pass a container's log on from its kubelet.

        Raises:
            ApiError: 404 or 400; 500 when the kubelet cannot be reached.
        """
        found = self._registry.get("Pod", namespace, pod)
        container = choose_container(found, request.query.get("container", ""))
        node = found["spec"].get("nodeName")
        if not node:
            return web.Response(status=204)
        url, extra = self._kubelet(node)
        query = {key: value for key, value in request.query.items() if key != "container"}
        url = (url / f"containerLogs/{namespace}/{pod}/{container}").with_query(query)
        try:
            return await self._pass_on(request, url, extra)
        except _Unreachable as exc:
            raise ApiError(500, "", f'Get "{url}": {exc}') from exc

    async def stream(
        self, request: web.Request, namespace: str, pod: str, subresource: str
    ) -> web.StreamResponse:
        """Connect a client with a pod's kubelet: exec, attach and portforward.

        Raises:
            ApiError: 404 or 400; 500 when the kubelet cannot be reached.
        """
        found = self._registry.get("Pod", namespace, pod)
        path = f"{_STREAMS[subresource]}/{namespace}/{pod}"
        if subresource != "portforward":
            path += f"/{choose_container(found, request.query.get('container', ''))}"
        node = found["spec"].get("nodeName")
        if not node:
            raise bad_request(f"pod {pod} does not have a host assigned")
        if not wanted_upgrade(request.headers):
            raise bad_request("Upgrade request required")
        url, extra = self._kubelet(node)
        try:
            return await self._pass_on(request, (url / path).with_query(request.query), extra)
        except _Unreachable as exc:
            raise ApiError(500, "", f"error dialing backend: {exc}") from exc

    async def proxy(
        self, request: web.Request, key: tuple[str, str, str], rest: str
    ) -> web.StreamResponse:
        """Pass a request on to a node's kubelet, a pod or an endpoint of a Service.

        key is the kind, the namespace and `name`, `name:port` or `http:name:port`; rest the raw
        path behind the proxy.

        Raises:
            ApiError: 404 or 400; 503 when there is nobody or he cannot be reached.
        """
        kind, namespace, name = key
        name, port = split_name(name)
        extra: dict[str, Any] = {}
        if kind == "Node":
            url, extra = self._kubelet(name)
        else:
            find = self._pod if kind == "Pod" else self._endpoint
            url = find(namespace, name, port)
        query = request.rel_url.raw_query_string
        target = f"{url.origin()}/{rest}" + (f"?{query}" if query else "")
        try:
            return await self._pass_on(request, URL(target, encoded=True), extra)
        except _Unreachable as exc:
            raise _unavailable(f"error trying to reach service: {exc}") from exc

    async def read_kubelet(self, node: str, path: str) -> str:
        """Read a path of a node's kubelet as text, for the API server itself.

        Raises:
            ApiError: 404 or 500, the node cannot be found.
            aiohttp.ClientError: The kubelet cannot be reached, or refuses.
        """
        url, extra = self._kubelet(node)
        async with self._session().get(url / path, raise_for_status=True, **extra) as answer:
            return await answer.text()

    def _pod(self, namespace: str, name: str, port: str) -> URL:
        pod = self._registry.get("Pod", namespace, name)
        address = pod.get("status", {}).get("podIP")
        number = int(port) if port.isdecimal() else 0 if port else first_port(pod)
        if not address or not 0 < number < 2**16:
            raise bad_request("address not allowed")
        return URL.build(scheme="http", host=address, port=number)

    def _endpoint(self, namespace: str, name: str, port: str) -> URL:
        """Choose a random ready endpoint of a Service."""
        wanted = port_name(self._registry.get("Service", namespace, name), port)
        targets = [
            target
            for piece in self._registry.list("EndpointSlice", namespace)
            if piece["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name
            for target in ready_targets(piece, wanted)
        ]
        if not targets:
            shown = f"{name}:{port}" if port else name
            raise _unavailable(f'no endpoints available for service "{shown}"')
        address, number = random.choice(targets)  # noqa: S311 no secret
        return URL.build(scheme="http", host=address, port=number)

    def _kubelet(self, node: str) -> tuple[URL, dict[str, Any]]:
        status = self._registry.get("Node", "", node).get("status", {})
        addresses = {one["type"]: one["address"] for one in status.get("addresses", ())}
        if "InternalIP" not in addresses:
            raise ApiError(500, "", f'no preferred addresses found; known addresses: node "{node}"')
        port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or 10250
        token = self._layout.token_of(API_SERVER)
        self._kubelet_tls = self._kubelet_tls or ssl.create_default_context(cafile=self._layout.ca)
        return URL(f"https://{addresses['InternalIP']}:{port}"), {
            "ssl": self._kubelet_tls,
            "server_hostname": node,
            "headers": {"Authorization": f"Bearer {token}"},
        }

    def _session(self, *, is_upgrade: bool = False) -> aiohttp.ClientSession:
        """Give the client; an upgrade gets a connection of its own, which tells a dead node."""
        if is_upgrade not in self._opened:
            self._opened[is_upgrade] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=is_upgrade),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUT,
                auto_decompress=False,
            )
        return self._opened[is_upgrade]

    async def _pass_on(
        self, request: web.Request, url: URL, extra: dict[str, Any]
    ) -> web.StreamResponse:
        upgrade = wanted_upgrade(request.headers)
        headers = _end_to_end(request.headers) | extra.pop("headers", {})
        headers |= {"Connection": "Upgrade", "Upgrade": upgrade} if upgrade else {}
        body = await request.read() if request.can_read_body else None
        response: web.StreamResponse | None = None
        try:
            async with self._session(is_upgrade=bool(upgrade)).request(
                request.method, url, headers=headers, data=body, allow_redirects=False, **extra
            ) as answer:
                if answer.status == 101:
                    return await carry(request, answer)
                response = web.StreamResponse(
                    status=answer.status, headers=_end_to_end(answer.headers)
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
        except aiohttp.ClientError as exc:
            if response is not None:  # too late for a Status: a cut connection says it
                raise ConnectionResetError(str(exc)) from exc
            raise _Unreachable(_dial_error(url, exc)) from exc
        return response


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _unavailable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", why)


def _dial_error(url: URL, exc: aiohttp.ClientError) -> str:
    """Say why somebody cannot be reached, in the words of Go's net package."""
    address = f"dial tcp {url.host}:{url.port}"
    if isinstance(exc, aiohttp.ServerTimeoutError):
        return "net/http: TLS handshake timeout" if url.scheme == "https" else f"{address}: timeout"
    if isinstance(exc, aiohttp.ClientConnectorError) and exc.os_error.errno:
        return f"{address}: connect: {os.strerror(exc.os_error.errno).lower()}"
    return str(exc)
