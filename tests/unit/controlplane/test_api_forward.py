"""What the API server passes on: to a node's HTTPS port, to pods, to Services."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.unit.controlplane.apiserver import ApiServer, Client, pod

PODS = "/api/v1/namespaces/ref/pods"


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        seen = {
            "method": self.command, "path": self.path, "body": self.rfile.read(size).decode(),
            "authorization": self.headers.get("Authorization"),
        }  # fmt: skip
        body = json.dumps(seen).encode()
        self.send_response(418)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Echo", "yes")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 the names http.server looks for

    def log_message(self, *_args: object) -> None: ...


@contextmanager
def echoing(certificate: str = "") -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def ports(api: ApiServer) -> Iterator[tuple[int, int]]:
    """Give the ports of a pod and of its kubelet, both registered with the API server."""
    with echoing() as pod_port, echoing(str(api.certificate)) as kubelet_port:
        endpoint = {"kubeletEndpoint": {"Port": kubelet_port}}
        address = {"type": "InternalIP", "address": "127.0.0.1"}
        node = {"metadata": {"name": "node-1"}}
        node["status"] = {"addresses": [address], "daemonEndpoints": endpoint}
        api.call(api.registry.create, "Node", node)
        api.call(api.registry.create, "Pod", pod())
        api.call(api.registry.create, "Pod", pod("unbound"))
        api.call(api.registry.bind, "ref", "p", "node-1")
        merge = {"content_type": "application/merge-patch+json", "subresource": "status"}
        status = {"status": {"podIP": "127.0.0.1"}}
        api.call(api.registry.patch, "Pod", "ref", "p", status, **merge)
        yield pod_port, kubelet_port


def test_a_pod_is_asked_without_the_clients_token(http: Client, ports: tuple[int, int]) -> None:
    answer = http.post(f"{PODS}/p:{ports[0]}/proxy/a%20b/?x=1&y=%2F", {"k": "v"})
    assert (answer.status, answer.headers["X-Echo"]) == (418, "yes")
    assert answer.json() == {
        "method": "POST", "path": "/a%20b/?x=1&y=%2F", "body": '{"k": "v"}', "authorization": None,
    }  # fmt: skip


def test_a_service_is_answered_by_one_of_its_endpoints(
    api: ApiServer, http: Client, ports: tuple[int, int]
) -> None:
    service = {"metadata": {"name": "s", "namespace": "ref"}}
    service["spec"] = {"ports": [{"name": "http", "port": 80, "targetPort": ports[0]}]}
    api.call(api.registry.create, "Service", service)
    path = "/api/v1/namespaces/ref/services/s:http/proxy/v1"
    assert http.get(path).json()["message"] == 'no endpoints available for service "s:http"'
    piece = {"metadata": {"name": "s-1", "namespace": "ref"}, "addressType": "IPv4"}
    piece["metadata"]["labels"] = {"kubernetes.io/service-name": "s"}
    piece["endpoints"] = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}]
    piece["ports"] = [{"name": "http", "port": ports[0]}]
    api.call(api.registry.create, "EndpointSlice", piece)
    assert http.get(path).json()["path"] == "/v1"
    assert http.get(path.replace("s:http", "s:80")).json()["path"] == "/v1"


def test_logs_come_from_the_kubelet_who_knows_the_api_server(
    http: Client, ports: tuple[int, int]
) -> None:
    seen = http.get(f"{PODS}/p/log?tailLines=2&container=c").json()
    assert seen["path"] == "/containerLogs/ref/p/c?tailLines=2"
    assert seen["authorization"] == "Bearer kubelet-token"


def test_a_pod_without_a_node_has_an_empty_log(http: Client, ports: tuple[int, int]) -> None:
    assert http.get(f"{PODS}/unbound/log").status == 204


def test_a_node_is_asked_below_its_proxy(http: Client, ports: tuple[int, int]) -> None:
    seen = http.get("/api/v1/nodes/node-1/proxy/stats/summary?only=x").json()
    assert seen["path"] == "/stats/summary?only=x"


def test_who_cannot_be_reached_is_unavailable(http: Client, ports: tuple[int, int]) -> None:
    answer = http.get(f"{PODS}/p:1/proxy/")
    assert (answer.status, answer.json()["reason"]) == (503, "ServiceUnavailable")
