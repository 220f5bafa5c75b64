"""port-forward: connections to a pod, carried in one WebSocket.

Two ways. `kubectl` opens a stream of SPDY for each connection, as many as it likes; other clients
name their ports in the query and have one connection each, on a pair of channels.
Source: KEP 4006 and k8s.io/kubelet/pkg/cri/streaming/portforward.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from lab_utils.controlplane import spdy
from lab_utils.controlplane.kubelet.sockets import accept, messages, unless_gone
from lab_utils.controlplane.kubelet.stdio import CHUNK_BYTES
from lab_utils.controlplane.status import Object

_TUNNEL = "SPDY/3.1+portforward.k8s.io"
_CHANNELS = "v4.channel.k8s.io"
_CONNECT_S = 10.0

Send = Callable[[bytes], Awaitable[None]]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ForwardError(Exception):
    """A port of the pod cannot be reached; the message is a kubelet's."""


@dataclass(frozen=True)
class Target:
    """The pod that is forwarded to."""

    pod: Object
    address: str

    async def connect(self, port: int) -> Connection:
        """Connect to one of its ports.

        Raises:
            ForwardError: Nobody listens there.
        """
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await asyncio.open_connection(self.address, port, limit=CHUNK_BYTES)
        except OSError as exc:  # TimeoutError is one
            refused = isinstance(exc, ConnectionRefusedError)
            why = "connection refused" if refused else exc.strerror or "i/o timeout"
            metadata = self.pod["metadata"]
            raise ForwardError(
                f"error forwarding port {port} to pod {metadata['name']}, uid {metadata['uid']}: "
                f"failed to connect to {self.address}:{port}: dial tcp4 {self.address}:{port}: "
                f"connect: {why}"
            ) from exc


async def serve_portforward(request: web.Request, target: Target) -> web.StreamResponse:
    """Forward connections to a pod until the client has gone.

    Raises:
        web.HTTPBadRequest: No WebSocket, no protocol that is known, or no port.
    """
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    ports = () if _TUNNEL in offered else _ports(request.query.getall("ports", []))
    async with accept(request, (_TUNNEL, _CHANNELS, "")) as socket:
        if socket.ws_protocol == _TUNNEL:
            await _Tunnel(socket, target).run()
        else:
            await _serve_channels(socket, target, ports)
    return socket


def _ports(given: list[str]) -> tuple[int, ...]:
    why, wanted = 'query parameter "ports" is required', ",".join(given).split(",")
    if given:
        if all(one.isdecimal() and 0 < int(one) < 2**16 for one in wanted):
            return tuple(map(int, wanted))
        why = f'unable to parse "{",".join(given)}" as a port'
    raise web.HTTPBadRequest(text=why)


async def _from_pod(reader: asyncio.StreamReader, send: Send) -> None:
    """Pass on what a pod says until it has ended; that it broke off ends it as well."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            await send(chunk)


async def _to_pod(
    writer: asyncio.StreamWriter | None, data: bytes, *, is_last: bool = False
) -> None:
    """Pass on to a pod, as fast as it reads; what it will not or cannot hear is dropped."""
    if writer is None:
        return
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()
        if is_last:
            writer.write_eof()


async def _serve_channels(
    socket: web.WebSocketResponse, target: Target, ports: tuple[int, ...]
) -> None:
    """Forward each port once: data on the even channels, the error on the odd one behind it."""
    channels = dict(zip(range(0, 2 * len(ports), 2), ports, strict=True))
    pods: dict[int, asyncio.Future[asyncio.StreamWriter | None]] = {
        channel: asyncio.get_running_loop().create_future() for channel in channels
    }
    for channel, port in channels.items():
        for number in (channel, channel + 1):
            await socket.send_bytes(struct.pack("<BH", number, port))

    async def forward(channel: int, port: int) -> None:
        try:
            reader, writer = await target.connect(port)
        except ForwardError as exc:
            pods[channel].set_result(None)
            await socket.send_bytes(bytes((channel + 1,)) + str(exc).encode())
            return
        pods[channel].set_result(writer)
        try:
            await _from_pod(reader, lambda chunk: socket.send_bytes(bytes((channel,)) + chunk))
        finally:
            writer.close()

    async def forward_all() -> None:
        await asyncio.gather(*(forward(*one) for one in channels.items()))

    async def listen() -> None:
        async for message in messages(socket):
            if message and message[0] in pods:
                await _to_pod(await pods[message[0]], message[1:])

    await unless_gone(forward_all(), listen())


@dataclass
class _Pair:
    """One forwarded connection: its two streams, and the pod's side while it is open."""

    port: int
    streams: dict[str, int] = field(default_factory=dict)
    pod: "asyncio.Future[asyncio.StreamWriter | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    task: "asyncio.Task[None] | None" = None


class _Tunnel:
    """The connections of one `kubectl port-forward`, each a pair of streams: error and data."""

    def __init__(self, socket: web.WebSocketResponse, target: Target) -> None:
        self._socket, self._target, self._spdy = socket, target, spdy.Spdy()
        self._incomplete: dict[str, _Pair] = {}
        self._by_data_stream: dict[int, _Pair] = {}

    async def run(self) -> None:
        """Serve until the client has gone."""
        try:
            async for message in messages(self._socket):
                for event in self._spdy.receive(message):
                    await self._handle(event)
        except spdy.SpdyError:
            return
        finally:
            tasks = [pair.task for pair in self._by_data_stream.values() if pair.task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _handle(self, event: spdy.Event) -> None:
        match event:
            case spdy.Opened(stream, headers):
                await self._open(stream, headers)
            case spdy.Data(stream, payload, is_last) if pair := self._by_data_stream.get(stream):
                await _to_pod(await asyncio.shield(pair.pod), payload, is_last=is_last)
            case spdy.Reset(stream) if pair := self._by_data_stream.get(stream):
                await self._give_up(pair)
            case spdy.Ping(number):
                await self._socket.send_bytes(spdy.ping(number))

    async def _open(self, stream: int, headers: dict[str, str]) -> None:
        kind, port = headers.get("streamtype", ""), headers.get("port", "")
        if kind not in ("error", "data") or not port.isdecimal() or not 0 < int(port) < 2**16:
            await self._socket.send_bytes(spdy.reset(stream, spdy.REFUSED_STREAM))
            return
        request = headers.get("requestid") or str(stream - 2 * (kind == "data"))
        pair = self._incomplete.setdefault(request, _Pair(int(port)))
        pair.streams[kind] = stream
        await self._socket.send_bytes(self._spdy.reply(stream))
        if len(pair.streams) == 2:
            del self._incomplete[request]
            self._by_data_stream[pair.streams["data"]] = pair
            pair.task = asyncio.create_task(self._forward(pair))

    async def _forward(self, pair: _Pair) -> None:
        """Connect, pass on what the pod says, and say when it has ended."""
        try:
            reader, writer = await self._target.connect(pair.port)
        except ForwardError as exc:
            pair.pod.set_result(None)
            await self._finish(pair, str(exc).encode())
            return
        pair.pod.set_result(writer)
        try:
            stream = pair.streams["data"]
            await _from_pod(reader, lambda chunk: self._socket.send_bytes(spdy.data(stream, chunk)))
        finally:
            writer.close()
        await self._finish(pair)

    async def _give_up(self, pair: _Pair) -> None:
        if pair.task is not None:
            pair.task.cancel()
            await asyncio.gather(pair.task, return_exceptions=True)
        await self._finish(pair)

    async def _finish(self, pair: _Pair, error: bytes = b"") -> None:
        """Say the last words on both streams; kubectl waits for the end of the error stream."""
        if self._by_data_stream.pop(pair.streams["data"], None) is not None:
            for kind, last in (("data", b""), ("error", error)):
                frame = spdy.data(pair.streams[kind], last, is_last=True)
                with contextlib.suppress(ConnectionError):
                    await self._socket.send_bytes(frame)
