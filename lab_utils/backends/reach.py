"""How this machine reaches a Service of a cluster that it knows only by its API.

A load balancer's address, else a nodePort on a node that this machine can connect to. Where neither
is there (nodes behind a firewall), the API server's own proxy, by way of a port of loopback: good
to look and to learn, not to measure, because every request passes the API server.
"""

import http.server
import socket
import threading
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab_utils.backends.base import Object
from lab_utils.credentials import client_of
from lab_utils.errors import InvalidInput

if TYPE_CHECKING:
    import urllib3

_KNOCK_S = 1.0
_ANSWER_S = 60.0
_KINDS = ("ExternalIP", "ExternalDNS", "InternalIP")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "authorization"}


def find_address(service: Object, nodes: Iterable[Object]) -> str | None:
    """Find the host:port at which a Service answers this machine; None where there is none.

    Raises:
        InvalidInput: The Service is for the inside of the cluster only.
    """
    meta, spec = service["metadata"], service["spec"]
    if spec["type"] not in ("NodePort", "LoadBalancer"):
        raise InvalidInput(
            f"Service {meta['namespace']}/{meta['name']} is of type {spec['type']} and has no "
            "nodePort: it is reachable inside the cluster only. Try lab.url('inference')."
        )
    refused = None
    for candidate in _candidates(service, nodes):
        try:
            with socket.create_connection(_split(candidate), timeout=_KNOCK_S):
                return candidate
        except ConnectionRefusedError:  # there is a way, and nobody behind the Service as yet
            refused = refused or candidate
        except OSError:
            continue
    return refused


def _candidates(service: Object, nodes: Iterable[Object]) -> Iterator[str]:
    port = service["spec"]["ports"][0]
    for entry in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        yield f"{entry.get('ip') or entry.get('hostname')}:{port['port']}"
    addresses = [
        address
        for node in nodes
        if any(c["type"] == "Ready" and c["status"] == "True" for c in _conditions(node))
        for address in node["status"].get("addresses") or ()
    ]
    for kind in _KINDS:
        for address in addresses:
            if address["type"] == kind and ":" not in address["address"] and "nodePort" in port:
                yield f"{address['address']}:{port['nodePort']}"


def _conditions(node: Object) -> Iterable[Object]:
    return node.get("status", {}).get("conditions") or ()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class ServiceProxy:
    """A port of loopback that leads to one Service through the API server; ends with this process.

    Args:
        kubeconfig: Who asks.
        service: For whom.
    """

    def __init__(self, kubeconfig: Path, service: Object) -> None:
        meta, port = service["metadata"], service["spec"]["ports"][0]["port"]
        self._kubeconfig = kubeconfig
        self._root = f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}:{port}/proxy"
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:
                proxy.forward(self)

            do_POST = do_GET  # noqa: N815 - the names are http.server's

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @cached_property
    def _client(self) -> Any:
        return client_of(self._kubeconfig).configuration

    @cached_property
    def _pool(self) -> "urllib3.PoolManager":
        import urllib3

        settings = self._client
        return urllib3.PoolManager(
            maxsize=64,
            cert_reqs="CERT_REQUIRED" if settings.verify_ssl else "CERT_NONE",
            ca_certs=settings.ssl_ca_cert,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            retries=False,
        )

    def forward(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Send a request on and its answer back."""
        import urllib3

        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        for one in self._client.auth_settings().values():
            headers[one["key"]] = one["value"]
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        url = self._client.host + self._root + request.path
        try:
            answer = self._pool.request(
                request.command, url, body=body, headers=headers, timeout=_ANSWER_S
            )
        except urllib3.exceptions.HTTPError as exc:
            request.send_error(502, str(exc)[:100])
            return
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length", "date", "server"}:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.data)))
        request.end_headers()
        request.wfile.write(answer.data)
