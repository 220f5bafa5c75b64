"""The Service proxy with real sockets: pods are small servers on loopback."""

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.nodeport import NodePortProxy
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Store
from lab_utils.errors import PortBusy

NODE_PORT = 30080
DEADLINE_S = 20.0
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(text: str) -> Handler:
    """Answer each line with a name and the line."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(f"{text}:".encode() + line)
        writer.close()

    return handle


class Lab:
    """A Service, its endpoints and the proxy in front of them."""

    def __init__(self, *, wanted: int = 0, min_sync_period_s: float = 0.01) -> None:
        self.registry = Registry(Store())
        config = ClusterConfig("test", "test", nodes=(), host_ports={NODE_PORT: wanted})
        self.down: set[str] = set()
        self.proxy = NodePortProxy(
            self.registry,
            config,
            self.down.__contains__,
            addresses={"w1": "127.77.1.1"},
            rng=random.Random(1),
            min_sync_period_s=min_sync_period_s,
        )
        self.servers: list[asyncio.Server] = []
        self.connections: list[asyncio.StreamWriter] = []
        self.endpoints: dict[str, Object] = {}
        self.registry.create("Namespace", {"kind": "Namespace", "metadata": {"name": "lab"}})

    def serve(self, node_port: int = NODE_PORT, **spec: Any) -> None:
        """Create the Service."""
        port = {"name": "http", "port": 80, "nodePort": node_port}
        body = {"type": "NodePort", "ports": [port], "selector": {"app": "web"}} | spec
        metadata = {"name": "web", "namespace": "lab"}
        self.registry.create("Service", {"kind": "Service", "metadata": metadata, "spec": body})

    async def pod(self, name: str, handler: Handler | None = None, **state: Any) -> asyncio.Server:
        """Start a pod and put it behind the Service."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections.append(writer)
            await (handler or answering(name))(reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.servers.append(server)
        self.publish(name, server.sockets[0].getsockname()[1], **state)
        return server

    def publish(self, name: str, port: int, node: str = "w1", **conditions: bool) -> None:
        """Write the pod's EndpointSlice: one each, so that they may have different ports."""
        metadata = {
            "name": name,
            "namespace": "lab",
            "labels": {"kubernetes.io/service-name": "web"},
        }
        endpoint = {"addresses": ["127.0.0.1"], "nodeName": node, "conditions": conditions}
        obj: Object = {"kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4"}
        obj |= {"endpoints": [endpoint], "ports": [{"name": "http", "port": port}]}
        known = self.registry.find("EndpointSlice", "lab", name)
        (self.registry.update if known else self.registry.create)("EndpointSlice", obj)

    def remove(self, name: str) -> None:
        """Take the pod from behind the Service."""
        self.registry.delete("EndpointSlice", "lab", name)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect through the nodePort."""
        return await asyncio.open_connection("127.0.0.1", self.proxy.ports[NODE_PORT])

    async def ask(self) -> str:
        """Give the name of the pod that answers a new connection; "refused" if none does."""
        try:
            reader, writer = await self.connect()
        except ConnectionError:
            return "refused"
        try:
            writer.write(b"hello\n")
            return (await reader.readline()).decode().partition(":")[0] or "closed"
        except ConnectionError:
            return "refused"
        finally:
            await closed(writer)

    async def until(self, *answers: str) -> None:
        """Wait until new connections get exactly these answers."""
        deadline = time.monotonic() + DEADLINE_S
        while {await self.ask() for _ in range(12)} != set(answers):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever the other side has done to it."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def running(lab: Lab) -> AsyncIterator[Lab]:
    """Start the proxy, and end everything afterwards."""
    await lab.proxy.start()
    yield lab
    await lab.proxy.close()
    for server in lab.servers:
        server.close()
    for connection in lab.connections:
        connection.transport.abort()
    await asyncio.sleep(0)  # the transports close


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with running(Lab()) as lab:
        yield lab


async def is_silent(reader: asyncio.StreamReader, for_s: float = 0.1) -> bool:
    """Tell whether nothing at all comes: no byte, no end, no reset."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reader.read(1), for_s)
        return False
    return True


async def test_connections_are_spread_over_the_ready_pods(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True)
    await lab.pod("b", ready=True)
    await lab.pod("c", ready=False)
    await lab.until("a", "b")
    answers = Counter([await lab.ask() for _ in range(100)])
    assert set(answers) == {"a", "b"}
    assert min(answers.values()) > 30


async def test_a_kept_connection_stays_with_its_pod(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True)
    await lab.pod("b", ready=True)
    await lab.until("a", "b")
    reader, writer = await lab.connect()
    answers = set()
    for _ in range(20):
        writer.write(b"x\n")
        answers.add(await reader.readline())
    assert len(answers) == 1
    await closed(writer)


async def test_a_pod_that_leaves_keeps_its_connections(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True)
    await lab.until("a")
    reader, writer = await lab.connect()
    writer.write(b"1\n")
    assert await reader.readline() == b"a:1\n"
    lab.remove("a")
    await lab.until("refused")
    writer.write(b"2\n")
    assert await reader.readline() == b"a:2\n"
    await closed(writer)


async def test_terminating_pods_serve_only_when_nobody_else_can(lab: Lab) -> None:
    lab.serve()
    await lab.pod("old", ready=False, serving=True, terminating=True)
    await lab.until("old")
    await lab.pod("new", ready=True)
    await lab.until("new")


async def test_without_service_or_pods_connections_are_refused(lab: Lab) -> None:
    assert await lab.ask() == "refused"
    lab.serve()
    assert await lab.ask() == "refused"


async def test_a_pod_that_does_not_listen_refuses(lab: Lab) -> None:
    lab.serve()
    server = await lab.pod("a", ready=True)
    await lab.until("a")
    server.close()
    await lab.until("refused")


async def test_changes_within_a_period_are_taken_together() -> None:
    period_s = 0.6
    async with running(Lab(min_sync_period_s=period_s)) as lab:
        lab.serve()
        await lab.pod("a", ready=True)
        await lab.until("a")  # this was a sync: the next one is a period later at the earliest
        started = time.monotonic()
        await lab.pod("b", ready=True)
        await lab.pod("c", ready=True)
        lab.remove("a")
        assert await lab.ask() == "a"
        await lab.until("b", "c")
        assert time.monotonic() - started < 3 * period_s


async def test_the_first_change_after_a_quiet_time_counts_at_once() -> None:
    async with running(Lab(min_sync_period_s=0.3)) as lab:
        lab.serve()
        await lab.until("refused")
        await asyncio.sleep(0.4)  # the quiet time: longer than the period
        started = time.monotonic()
        await lab.pod("a", ready=True)
        await lab.until("a")
        assert time.monotonic() - started < 0.3


async def test_client_ip_affinity_pins_a_client(lab: Lab) -> None:
    lab.serve(sessionAffinity="ClientIP")
    await lab.pod("a", ready=True)
    await lab.pod("b", ready=True)
    deadline = time.monotonic() + DEADLINE_S
    while await lab.ask() == "refused":
        assert time.monotonic() < deadline
    assert len({await lab.ask() for _ in range(30)}) == 1


async def test_the_end_of_a_request_is_passed_on_before_the_answer(lab: Lab) -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(str(len(await reader.read())).encode())
        writer.close()

    lab.serve()
    await lab.pod("a", count, ready=True)
    size = 3_000_000  # more than any buffer on the way

    async def upload() -> bytes:
        reader, writer = await lab.connect()
        writer.write(b"x" * size)
        writer.write_eof()
        answer = await reader.read()
        await closed(writer)
        return answer

    deadline = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(ConnectionError):
            if await upload() == str(size).encode():
                return
        assert time.monotonic() < deadline


async def test_a_slow_reader_slows_the_pod_down(lab: Lab) -> None:
    written = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        with contextlib.suppress(ConnectionError):
            while written < 1_000_000_000:
                writer.write(b"x" * 65536)
                await writer.drain()
                written += 65536

    lab.serve()
    await lab.pod("a", flood, ready=True)
    deadline = time.monotonic() + DEADLINE_S
    while not written:
        assert time.monotonic() < deadline
        with contextlib.suppress(ConnectionError):
            _reader, writer = await lab.connect()
        await asyncio.sleep(0.05)
    before = -1
    while before != written:
        before = written
        await asyncio.sleep(0.1)
    assert written < 50_000_000
    writer.transport.abort()


async def test_a_killed_pod_resets_its_connections(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True)
    await lab.until("a")
    reader, writer = await lab.connect()
    writer.write(b"1\n")
    await reader.readline()
    linger = (socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    lab.connections[-1].get_extra_info("socket").setsockopt(*linger)
    lab.connections[-1].transport.abort()
    with pytest.raises(ConnectionResetError):
        await reader.readline()
    await closed(writer)


async def test_a_node_without_power_answers_nothing(lab: Lab) -> None:
    lab.serve()
    server = await lab.pod("a", ready=True, node="w1")
    await lab.until("a")
    reader, writer = await lab.connect()
    writer.write(b"1\n")
    await reader.readline()
    lab.down.add("w1")
    server.close()
    lab.connections[-1].transport.abort()
    writer.write(b"2\n")
    assert await is_silent(reader)
    new_reader, new_writer = await lab.connect()
    new_writer.write(b"hello\n")
    assert await is_silent(new_reader)
    await closed(new_writer)
    lab.down.clear()
    writer.write(b"3\n")  # the node is back, and does not know this connection
    with pytest.raises(ConnectionResetError):
        await reader.readline()
    await closed(writer)


async def test_every_node_answers_on_its_own_address_unless_it_is_without_power(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True, node="w2")
    await lab.until("a")
    for has_power in (True, False):
        reader, writer = await asyncio.open_connection("127.77.1.1", NODE_PORT)
        writer.write(b"hello\n")
        assert await is_silent(reader, 1.0 if has_power else 0.1) is not has_power
        await closed(writer)
        lab.down.add("w1")


async def test_a_client_that_gives_up_on_a_lost_node_is_forgotten(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True, node="w1")
    await lab.until("a")
    lab.down.add("w1")
    _reader, writer = await lab.connect()
    await closed(writer)
    await eventually(lambda: not lab.proxy.open_connections)


async def test_a_service_that_goes_frees_its_port(lab: Lab) -> None:
    lab.serve(node_port=31234)
    await eventually(lambda: 31234 in lab.proxy.ports)
    lab.registry.delete("Service", "lab", "web")
    await eventually(lambda: 31234 not in lab.proxy.ports)


async def test_a_busy_port_that_is_demanded_is_an_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        wanted = other.getsockname()[1]
        busy = Lab(wanted=wanted)
        with pytest.raises(PortBusy, match=str(wanted)):
            await busy.proxy.start()


async def test_a_busy_port_that_is_not_demanded_is_replaced(lab: Lab) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 31235))
        other.listen()
        lab.serve(node_port=31235)
        await eventually(lambda: 31235 in lab.proxy.ports)
        assert lab.proxy.ports[31235] != 31235


async def test_closing_ends_every_connection(lab: Lab) -> None:
    lab.serve()
    await lab.pod("a", ready=True)
    await lab.until("a")
    reader, writer = await lab.connect()
    writer.write(b"1\n")
    await reader.readline()
    await lab.proxy.close()
    with pytest.raises(ConnectionResetError):
        await reader.readline()
    await closed(writer)
