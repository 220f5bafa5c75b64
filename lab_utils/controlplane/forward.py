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
            ApiError: 404 or 400; 500 when the kubelet cannot be reached.
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

    async def node(self, request: web.Request, name: str, rest: str) -> web.StreamResponse:
        """Pass a request on to a node's kubelet.

        Raises:
            ApiError: 404; 503 when the kubelet cannot be reached.
        """
        url, extra = self._kubelet(name.split(":", 1)[0])
        return await self._pass_on(request, _below(url, rest, request), extra)

    async def pod(
        self, request: web.Request, namespace: str, name: str, rest: str
    ) -> web.StreamResponse:
        """Pass a request on to a port of a pod; name is `pod`, `pod:port` or `http:pod:port`.

        Raises:
            ApiError: 404; 400, the pod has no address; 503, it cannot be reached.
        """
        pod_name, port = _split_name(name)
        pod = self._registry.get("Pod", namespace, pod_name)
        address = pod.get("status", {}).get("podIP")
        if not address:
            raise bad_request("address not allowed")
        url = _http(address, int(port) if port else _first_port(pod))
        return await self._pass_on(request, _below(url, rest, request))

    async def service(
        self, request: web.Request, namespace: str, name: str, rest: str
    ) -> web.StreamResponse:
        """Pass a request on to a random ready endpoint of a Service.

        Raises:
            ApiError: 404; 503, there is no endpoint or it cannot be reached.
        """
        service, port = _split_name(name)
        port_name = _port_name(self._registry.get("Service", namespace, service), port)
        targets = [
            target
            for piece in self._registry.list("EndpointSlice", namespace)
            if piece["metadata"].get("labels", {}).get("kubernetes.io/service-name") == service
            for target in _targets(piece, port_name)
        ]
        if not targets:
            raise _unavailable(f'no endpoints available for service "{name}"')
        url = _http(*random.choice(targets))  # noqa: S311 no secret
        return await self._pass_on(request, _below(url, rest, request))

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
        self, request: web.Request, url: URL, extra: Mapping[str, Any] | None = None
    ) -> web.StreamResponse:
        options = dict(extra or {})
        headers = _end_to_end(request.headers) | options.pop("headers", {})
        body = await request.read() if request.can_read_body else None
        response: web.StreamResponse | None = None
        try:
            async with self._session().request(
                request.method, url, headers=headers, data=body, allow_redirects=False, **options
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


def _http(address: str, port: int) -> URL:
    return URL.build(scheme="http", host=address, port=port)


def _below(url: URL, rest: str, request: web.Request) -> URL:
    """Put the raw path and query behind the proxy onto an address, byte by byte."""
    query = request.rel_url.raw_query_string
    return URL(f"{url.origin()}/{rest}" + (f"?{query}" if query else ""), encoded=True)


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
