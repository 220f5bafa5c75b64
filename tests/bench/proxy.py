"""What the Service proxy costs: the same requests directly to a pod and through its nodePort.

Direct and proxied requests take turns in one run, so that a busy machine slows both. One client,
then eight at once; on kept connections and on a new one for each request.
"""

import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.bench.rows import Row, at_least, at_most
from tests.tools.workers import BODY, INFER, running

ROUNDS = 7
REQUESTS = 400
CLIENTS = 8
PROXY = """
import asyncio, sys
from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.nodeport import NodePortProxy
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.store import Store
async def main():
    registry = Registry(Store())
    registry.create("Namespace", {"kind": "Namespace", "metadata": {"name": "lab"}})
    port = {"name": "http", "port": 80, "nodePort": 30080}
    spec = {"type": "NodePort", "ports": [port], "selector": {"app": "web"}}
    meta = {"name": "web", "namespace": "lab"}
    registry.create("Service", {"kind": "Service", "metadata": meta, "spec": spec})
    labels = {"kubernetes.io/service-name": "web"}
    registry.create("EndpointSlice", {
        "kind": "EndpointSlice", "metadata": meta | {"labels": labels}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "nodeName": "n"}],
        "ports": [{"name": "http", "port": int(sys.argv[1])}]})
    proxy = NodePortProxy(registry, ClusterConfig("b", "b", (), {30080: 0}), lambda name: False)
    await proxy.start()
    await asyncio.sleep(0.5)
    print(proxy.ports[30080], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def request(*, keep: bool) -> bytes:
    body = json.dumps(BODY).encode()
    lines = [f"POST {INFER} HTTP/1.1", "Host: lab", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *([] if keep else ["Connection: close"]), "", ""]
    return "\r\n".join(lines).encode() + body


KEPT, SINGLE = request(keep=True), request(keep=False)


def exchange(client: socket.socket, sent: bytes) -> None:
    """Send a request and read its answer, no more: the client is not what is measured."""
    client.sendall(sent)
    head, _, body = client.recv(65536).partition(b"\r\n\r\n")
    missing = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
    while missing > 0:
        missing -= len(client.recv(65536))


def kept(port: int) -> Callable[[], None]:
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return lambda: exchange(client, KEPT)


def single(port: int) -> Callable[[], None]:
    def ask() -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            exchange(client, SINGLE)

    return ask


def p50_ms(ask: Callable[[], None]) -> float:
    taken_s = []
    for _ in range(REQUESTS):
        started_s = time.perf_counter()
        ask()
        taken_s.append(time.perf_counter() - started_s)
    return statistics.median(taken_s) * 1000


def throughput_rps(clients: list[Callable[[], None]]) -> float:
    def work(ask: Callable[[], None]) -> None:
        for _ in range(REQUESTS // 4):
            ask()

    threads = [threading.Thread(target=work, args=(ask,)) for ask in clients]
    started_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(clients) * (REQUESTS // 4) / (time.perf_counter() - started_s)


@contextmanager
def proxied(port: int) -> Iterator[int]:
    """Start the Service proxy in front of a port; give its own."""
    command = [sys.executable, "-c", PROXY, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def bench() -> Iterator[Row]:
    """Compare latency and throughput of the two ways to a worker."""
    with running(WORKER_SERVICE_MS=0, WORKER_SLOTS=64) as worker, proxied(worker.port) as port:
        for name, connect in (("kept", kept), ("new", single)):
            direct, through = connect(worker.port), connect(port)
            added_ms = [p50_ms(through) - p50_ms(direct) for _ in range(ROUNDS)]
            yield at_most(f"p50 added by the proxy, {name} connections", added_ms, "ms", 0.3)
            ways = [[connect(one) for _ in range(CLIENTS)] for one in (port, worker.port)]
            ratios = [throughput_rps(ways[0]) / throughput_rps(ways[1]) for _ in range(ROUNDS)]
            yield at_least(f"requests/s beside direct ones, {name}", ratios, "x", 0.5)
