"""Requests that the API server passes on: to kubelets (logs, node proxy), pods and Services.

Hides where they go and what is taken off on the way: a client's token never leaves the API server.
"""

import random
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from lab_utils.controlplane.config import API_SERVER, Layout
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError, Object, bad_request

_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers",
    "transfer-encoding", "upgrade", "host", "authorization", "content-length",
}  # fmt: skip
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10.0)


class Forwarder:
    """The API server as a client of kubelets and pods."""

    def __init__(self, layout: Layout, registry: Registry) -> None:
        self._layout, self._registry = layout, registry
        self._opened: aiohttp.ClientSession | None = None
        self._kubelet_tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._opened:
            await self._opened.close()

    async def logs(self, request: web.Request, namespace: str, pod: str) -> web.StreamResponse:
        """Pass a container's log on from its kubelet.

        Raises:
            ApiError: 404 or 400; 503 when the kubelet cannot be reached.
        """
        found = self._registry.get("Pod", namespace, pod)
        container = _container(found, request.query.get("container", ""))
        node = found["spec"].get("nodeName")
        if not node:
            return web.Response(status=204)
        url, extra = self._kubelet(node)
        path = f"containerLogs/{namespace}/{pod}/{container}"
        query = {key: value for key, value in request.query.items() if key != "container"}
        return await self._pass_on(request, (url / path).with_query(query), extra)

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
        name, port = _split_name(name)
        extra: dict[str, Any] = {}
        if kind == "Node":
            url, extra = self._kubelet(name)
        else:
            find = self._pod if kind == "Pod" else self._endpoint
            url = find(namespace, name, port)
        query = request.rel_url.raw_query_string
        target = f"{url.origin()}/{rest}" + (f"?{query}" if query else "")
        return await self._pass_on(request, URL(target, encoded=True), extra)

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
        number = int(port) if port.isdecimal() else 0 if port else _first_port(pod)
        if not address or not 0 < number < 2**16:
            raise bad_request("address not allowed")
        return URL.build(scheme="http", host=address, port=number)

    def _endpoint(self, namespace: str, name: str, port: str) -> URL:
        """Choose a random ready endpoint of a Service."""
        port_name = _port_name(self._registry.get("Service", namespace, name), port)
        targets = [
            target
            for piece in self._registry.list("EndpointSlice", namespace)
            if piece["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name
            for target in _targets(piece, port_name)
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

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUT,
                auto_decompress=False,
            )
        return self._opened

    async def _pass_on(
        self, request: web.Request, url: URL, extra: dict[str, Any]
    ) -> web.StreamResponse:
        headers = _end_to_end(request.headers) | extra.pop("headers", {})
        body = await request.read() if request.can_read_body else None
        response: web.StreamResponse | None = None
        try:
            async with self._session().request(
                request.method, url, headers=headers, data=body, allow_redirects=False, **extra
            ) as answer:
                response = web.StreamResponse(
                    status=answer.status, headers=_end_to_end(answer.headers)
                )
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
        except aiohttp.ClientError as exc:
            if response is not None:  # too late for a Status: a cut connection says it
                raise ConnectionResetError(str(exc)) from exc
            raise _unavailable(f"error trying to reach service: {exc}") from exc
        return response


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _unavailable(why: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", why)


def _split_name(name: str) -> tuple[str, str]:
    """Take `http:web:8000`, `web:8000` or `web` apart."""
    parts = name.split(":")
    if len(parts) == 3 and parts[0] in ("", "http"):
        parts = parts[1:]
    if len(parts) > 2 or not parts[0]:
        raise bad_request(f'invalid service request "{name}"')
    return parts[0], parts[1] if len(parts) == 2 else ""


def _first_port(pod: Object) -> int:
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports", ()))
    return next((port["containerPort"] for port in ports), 80)


def _container(pod: Object, wanted: str) -> str:
    """Choose the container whose log is meant."""
    spec, name = pod["spec"], pod["metadata"]["name"]
    mains = [one["name"] for one in spec["containers"]]
    inits = [one["name"] for one in spec.get("initContainers", ())]
    if wanted and wanted not in mains + inits:
        raise bad_request(f"container {wanted} is not valid for pod {name}")
    if wanted or len(mains) == 1:
        return wanted or mains[0]
    choices = f"choose one of: [{' '.join(mains)}]"
    choices += f" or one of the init containers: [{' '.join(inits)}]" if inits else ""
    raise bad_request(f"a container name must be specified for pod {name}, {choices}")


def _port_name(service: Object, wanted: str) -> str | None:
    """Find the name of the port that is meant by name, by number, or not at all when it is one."""
    ports = service["spec"].get("ports", ())
    for port in ports:
        name = port.get("name", "")
        if wanted in (name, str(port["port"])) or (not wanted and len(ports) == 1):
            return str(name)
    return None


def _targets(piece: Object, port_name: str | None) -> list[tuple[str, int]]:
    """List where ready endpoints serve a port."""
    return [
        (endpoint["addresses"][0], port["port"])
        for endpoint in piece.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True) is not False
        for port in piece.get("ports") or ()
        if port.get("name", "") == port_name
    ]
