"""A real API server on a loopback port, over TLS, for tests: no mocks, no kubelets."""

import asyncio
import json
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPMessage, HTTPSConnection
from pathlib import Path

import trustme
from aiohttp import web

from lab_utils.controlplane.computed import Metrics, nothing_measured
from lab_utils.controlplane.config import Layout, write_atomically
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.server import make_app, make_runner
from lab_utils.controlplane.store import Store

TOKEN = "admin-token"
NAMESPACES = ("default", "kube-system", "ref")


def fill(registry: Registry) -> Registry:
    """Add what controllers would: namespaces with their default ServiceAccount."""
    for name in NAMESPACES:
        registry.create("Namespace", {"metadata": {"name": name}})
        registry.create("ServiceAccount", {"metadata": {"name": "default", "namespace": name}})
    return registry


class FakeClock:
    """Time that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


def pod(name="p", namespace="ref", **spec):
    """Give a small pod."""
    containers = [{"name": "c", "image": "web:1"}]
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": containers} | spec}


@dataclass
class ApiServer:
    """One running server; start() returns when it listens."""

    root: Path
    registry: Registry = field(default_factory=lambda: fill(Registry(Store())))
    metrics: Metrics = nothing_measured
    port: int = 0

    def start(self) -> "ApiServer":
        layout = Layout(self.root)
        layout.ca.parent.mkdir(parents=True)
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost", "node-1")
        write_atomically(layout.ca, authority.cert_pem.bytes().decode())
        pem = certificate.private_key_and_cert_chain_pem.bytes().decode()
        write_atomically(layout.server_certificate, pem)
        tokens = {TOKEN: "kubernetes-admin", "kubelet-token": "kube-apiserver"}
        write_atomically(layout.tokens, json.dumps(tokens))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._run(self._listen(layout, tokens))
        self._write_kubeconfig(layout)
        return self

    async def _listen(self, layout: Layout, tokens: dict[str, str]) -> None:
        app = make_app(self.registry, tokens, Forwarder(layout, self.registry), self.metrics)
        self._runner = make_runner(app)
        await self._runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(layout.server_certificate)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def call(self, function, *args, **kwargs):
        """Run a registry call in the server's loop, as a controller would."""

        async def run():
            return function(*args, **kwargs)

        return self._run(run())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        """End connections without waiting for the clients' side of the TLS farewell."""
        for connection in self._runner.server.connections:
            if connection.transport:
                connection.transport.abort()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return Layout(self.root).kubeconfig

    @property
    def certificate(self) -> Path:
        return Layout(self.root).server_certificate

    @property
    def ca(self) -> Path:
        return Layout(self.root).ca

    def _write_kubeconfig(self, layout: Layout) -> None:
        cluster = {"server": self.url, "certificate-authority": str(layout.ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        write_atomically(layout.kubeconfig, json.dumps(config))


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode()

    @property
    def warnings(self) -> list[str]:
        return self.headers.get_all("Warning") or []


@dataclass
class Client:
    """A bare HTTP client, for what the official one cannot be made to send."""

    server: ApiServer
    token: str = TOKEN

    def request(self, method, path, body=None, *, content_type="", headers=None, timeout_s=10):
        context = ssl.create_default_context(cafile=str(self.server.ca))
        connection = HTTPSConnection(
            "127.0.0.1", self.server.port, context=context, timeout=timeout_s
        )
        sent = {"Authorization": f"Bearer {self.token}"}
        sent |= {"Content-Type": content_type} if content_type else {}
        data = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        try:
            connection.request(
                method,
                path,
                data.encode() if isinstance(data, str) else data,
                sent | (headers or {}),
            )
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, body, content_type="application/json", **options)
