"""port-forward and WebSockets to pods, with the clients people use."""

import asyncio
import hashlib
import os
import re
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import psutil
import pytest
import pytest_asyncio
from kubernetes import client, config
from kubernetes.stream import portforward
from kubernetes.stream.ws_client import PortForward

from lab_utils.controlplane.config import ADMIN
from tests.unit.controlplane.kubelet.conftest import KubeletUnderTest, api_url, running_node, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
KUBECTL = shutil.which("kubectl")
needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
MEBIBYTE = 2**20
SERVERS = """
import asyncio, hashlib, os
from aiohttp import web

async def digest(reader, writer):  # answers when it has heard everything
    seen = hashlib.sha256()
    while chunk := await reader.read(65536):
        seen.update(chunk)
    writer.write(seen.hexdigest().encode())
    writer.close()

async def flood(reader, writer):  # says 50 MiB, whoever listens
    for _ in range(50):
        writer.write(bytes(2**20))
        await writer.drain()
    writer.close()

async def parrot(reader, writer):
    writer.write(await reader.read(65536))
    writer.close()

async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str("echo " + message.data)
    return socket

async def main():
    ip = os.environ["IP"]
    app = web.Application()
    app.router.add_get("/ws", echo)
    app.router.add_get("/", lambda _: asyncio.sleep(0, web.Response(text="hello")))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, ip, 8080).start()
    await asyncio.start_server(digest, ip, 8081)
    await asyncio.start_server(parrot, ip, 8083)
    await asyncio.start_server(flood, ip, 8082)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeletUnderTest]:
    """Give a node with a pod `web` that listens on four ports."""
    async with running_node(tmp_path_factory.mktemp("forward")) as node:
        env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
        probe = {"tcpSocket": {"port": 8082}, "periodSeconds": 1}
        node.create_pod("web", "python", "-c", SERVERS,
                        container={"env": env, "readinessProbe": probe})  # fmt: skip
        await until(lambda: node.container("web").get("ready"))
        yield node


@contextmanager
def forwarding(node: KubeletUnderTest, *ports: int) -> Iterator[PortForward]:
    """Forward ports with the official client, and close what it leaves open: its WebSocket."""
    core = client.CoreV1Api(config.new_client_from_config(str(node.layout.kubeconfig)))
    method, wanted = core.connect_get_namespaced_pod_portforward, ",".join(map(str, ports))
    forward = portforward(method, "web", "default", ports=wanted)
    try:
        yield forward
    finally:
        forward.close()
        for thread in threading.enumerate():
            if thread.name.startswith("Kubernetes port forward proxy"):
                thread.join(10)
        forward.websocket.shutdown()


async def test_the_official_client_forwards_several_ports(node: KubeletUnderTest) -> None:
    def converse() -> list[bytes]:
        answers = []
        with forwarding(node, 8080, 8083) as forward:
            for port in (8080, 8083):
                forward.socket(port).sendall(b"GET / HTTP/1.0\r\n\r\n")
                answers.append(forward.socket(port).recv(65536))
        return answers

    first, second = await asyncio.to_thread(converse)
    assert first.startswith(b"HTTP/1.0 200 OK")
    assert second == b"GET / HTTP/1.0\r\n\r\n"


async def test_the_official_client_hears_that_nobody_listens(node: KubeletUnderTest) -> None:
    def ask() -> str:
        with forwarding(node, 9) as forward:
            assert forward.socket(9).recv(1) == b""
            return forward.error(9)

    pod = node.pod("web")
    error = await asyncio.to_thread(ask)
    assert error.startswith(
        f"error forwarding port 9 to pod web, uid {pod['metadata']['uid']}: failed to connect to "
    )
    assert error.endswith("connect: connection refused")


@asynccontextmanager
async def kubectl(
    node: KubeletUnderTest, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run kubectl until the block is left."""
    assert KUBECTL is not None
    process = await asyncio.create_subprocess_exec(
        KUBECTL, "--kubeconfig", str(node.layout.kubeconfig), *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def local_port(process: asyncio.subprocess.Process) -> int:
    """Read where kubectl listens."""
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    found = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert found, line
    return int(found.group(1))


@needs_kubectl
async def test_kubectl_forwards_many_connections_at_once(node: KubeletUnderTest) -> None:
    async with kubectl(node, "port-forward", "pod/web", ":8080") as process:
        url = f"http://127.0.0.1:{await local_port(process)}/"
        async with aiohttp.ClientSession(headers={"Connection": "close"}) as session:

            async def get() -> str:
                async with session.get(url) as answer:
                    return await answer.text()

            assert await asyncio.gather(*(get() for _ in range(30))) == ["hello"] * 30


@needs_kubectl
async def test_kubectl_can_end_one_direction_and_hear_the_other(node: KubeletUnderTest) -> None:
    sent = os.urandom(MEBIBYTE)
    async with kubectl(node, "port-forward", "pod/web", ":8081") as process:
        reader, writer = await asyncio.open_connection("127.0.0.1", await local_port(process))
        seen = hashlib.sha256()
        for _ in range(50):
            writer.write(sent)
            await writer.drain()
            seen.update(sent)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
    assert answer.decode() == seen.hexdigest()


@needs_kubectl
async def test_a_reader_that_stalls_leaves_the_kubelet_small(node: KubeletUnderTest) -> None:
    assert node.process is not None
    kubelet = psutil.Process(node.process.pid)
    before = kubelet.memory_info().rss
    async with kubectl(node, "port-forward", "pod/web", ":8082") as process:
        reader, writer = await asyncio.open_connection("127.0.0.1", await local_port(process))
        first = await reader.readexactly(MEBIBYTE)
        sizes = [-1]

        def stands_still() -> bool:
            sizes.append(kubelet.io_counters().write_chars)
            return sizes[-1] == sizes[-2]

        await until(stands_still)
        assert kubelet.memory_info().rss - before < 16 * MEBIBYTE
        rest = await asyncio.wait_for(reader.read(-1), 60)
        writer.close()
    assert len(first) + len(rest) == 50 * MEBIBYTE


@needs_kubectl
async def test_kubectl_says_that_nobody_listens(node: KubeletUnderTest) -> None:
    async with kubectl(node, "port-forward", "pod/web", ":9") as process:
        reader, writer = await asyncio.open_connection("127.0.0.1", await local_port(process))
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        assert process.stderr is not None
        said = (await asyncio.wait_for(process.stderr.read(), 20)).decode()
    assert "connect: connection refused" in said
    assert "lost connection to pod" in said


async def test_connections_end_with_the_client(node: KubeletUnderTest) -> None:
    assert node.process is not None
    kubelet = psutil.Process(node.process.pid)
    pod = node.pod("web")["status"]["podIP"]

    def to_the_pod() -> int:
        return sum(one.raddr[:1] == (pod,) for one in kubelet.net_connections("tcp") if one.raddr)

    await until(lambda: to_the_pod() == 0)
    headers = {"Authorization": f"Bearer {node.layout.token_of(ADMIN)}"}
    url = f"{api_url(node)}/api/v1/namespaces/default/pods/web/portforward?ports=8081"
    async with aiohttp.ClientSession() as session:  # without a subprotocol, as kr8s does it
        talk = await session.ws_connect(url, headers=headers, ssl=node.trust())
        assert [await talk.receive_bytes() for _ in "ab"] == [b"\x00\x91\x1f", b"\x01\x91\x1f"]
        await until(lambda: to_the_pod() == 1)
        talk._response.connection.transport.abort()
        await until(lambda: to_the_pod() == 0)


@needs_kubectl
async def test_a_pods_websocket_is_reached_through_kubectl_proxy(node: KubeletUnderTest) -> None:
    async with kubectl(node, "proxy", "--port=0") as process:
        base = f"http://127.0.0.1:{await local_port(process)}"
        url = f"{base}/api/v1/namespaces/default/pods/web:8080/proxy/ws"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as talk:
            await talk.send_str("hello")
            assert await talk.receive_str() == "echo hello"
