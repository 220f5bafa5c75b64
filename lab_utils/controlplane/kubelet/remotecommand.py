"""exec and attach: the streams of a process on the channels of one WebSocket.

The first byte of a message names its channel; the last word is a Status on the error channel.
Source: k8s.io/apimachinery/pkg/util/remotecommand, and KEP 4006 for v5, in which a client may also
say that it has no more input.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from lab_utils.controlplane.kubelet.runtime import Container, Runtime, StartError, exit_of
from lab_utils.controlplane.kubelet.sockets import accept, messages, unless_gone
from lab_utils.controlplane.kubelet.stdio import Stdio, chunks
from lab_utils.controlplane.status import Object

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_SUCCESS: Object = {"metadata": {}, "status": "Success"}


@dataclass(frozen=True)
class StreamOptions:
    """Which streams a client wants; a terminal has no stderr of its own."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "StreamOptions":
        """Read the query of a request.

        Raises:
            web.HTTPBadRequest: It wants no stream at all.
        """
        wanted = {name: _is_true(query, name) for name in ("stdin", "stdout", "stderr", "tty")}
        options = cls(**wanted | {"stderr": wanted["stderr"] and not wanted["tty"]})
        if not (options.stdin or options.stdout or options.stderr):
            why = "you must specify at least 1 of stdin, stdout, stderr"
            raise web.HTTPBadRequest(text=why)
        return options

    def stdio(self) -> Stdio:
        """Make the streams for a new process."""
        if self.tty:
            return Stdio.terminal()
        return Stdio.pipes(stdin=self.stdin, stdout=self.stdout, stderr=self.stderr)


def _is_true(query: Mapping[str, str], name: str) -> bool:
    """Read a flag as Kubernetes does: whatever is not `0` or `false` is true."""
    return query.get(name, "false").lower() not in ("0", "false")


async def serve_exec(
    request: web.Request, runtime: Runtime, container: Container
) -> web.StreamResponse:
    """Run a command beside a container, with its streams on the request's WebSocket.

    Raises:
        web.HTTPBadRequest: No command, no stream, no WebSocket.
    """
    options, argv = StreamOptions.of(request.query), request.query.getall("command", [])
    if not argv:
        why = "you must specify at least one command for the container"
        raise web.HTTPBadRequest(text=why)
    async with accept(request, PROTOCOLS) as socket:
        await _say_hello(socket, options)
        stdio = options.stdio()
        try:
            command = _packed_from(container, argv)
            async with runtime.beside(container, command, stdio) as process:

                async def run() -> int:
                    await _talk(socket, chunks(stdio.stdout), chunks(stdio.stderr))
                    return await exit_of(process)

                status = _exited(argv, await unless_gone(run(), _listen(socket, stdio)))
        except StartError as exc:
            status = _failed(f"error executing command in container: {exc}")
        await _send(socket, ERROR, json.dumps(status).encode())
    return socket


def _packed_from(container: Container, argv: list[str]) -> list[str]:
    """Let `tar cf - /PATH` name what it packs as the container does: kubectl cp looks at that."""
    local = container.launch.localize(argv[-1])
    if argv[:-1] != ["tar", "cf", "-"] or not local.endswith(argv[-1]) or local == argv[-1]:
        return argv
    return ["tar", "cf", "-", "-C", local.removesuffix(argv[-1]), argv[-1].lstrip("/")]


async def serve_attach(
    request: web.Request, container: Container, *, stdin_once: bool
) -> web.StreamResponse:
    """Show what a container prints from now on, and pass input on to it if it takes any.

    Both of its streams come on the channel of stdout: they share one pipe, as in its log.

    Raises:
        web.HTTPBadRequest: No stream, no WebSocket.
    """
    options = StreamOptions.of(request.query)
    async with accept(request, PROTOCOLS) as socket:
        await _say_hello(socket, options)
        try:
            output = container.log.attach()
            async with contextlib.aclosing(output):
                await unless_gone(
                    _talk(socket, output), _listen(socket, container.stdio, options.stdin)
                )
        finally:
            if options.stdin and stdin_once:
                container.stdio.close_stdin()
        await _send(socket, ERROR, json.dumps(_SUCCESS).encode())
    return socket


async def _say_hello(socket: web.WebSocketResponse, options: StreamOptions) -> None:
    """Send nothing on the first channel: for a client the sign that it is connected."""
    await _send(socket, STDOUT if options.stdout else STDERR if options.stderr else ERROR, b"")


async def _send(socket: web.WebSocketResponse, channel: int, data: bytes) -> None:
    await socket.send_bytes(bytes((channel,)) + data)


async def _talk(socket: web.WebSocketResponse, *streams: AsyncIterator[bytes]) -> None:
    """Send stdout and stderr until both have ended."""

    async def copy(channel: int, stream: AsyncIterator[bytes]) -> None:
        async for chunk in stream:
            await _send(socket, channel, chunk)

    await asyncio.gather(*(copy(number, one) for number, one in enumerate(streams, start=STDOUT)))


async def _listen(socket: web.WebSocketResponse, stdio: Stdio, takes_input: bool = True) -> None:
    """Take input, sizes of the window and the end of input, until the client closes."""
    async for message in messages(socket):
        channel, data = message[:1], message[1:]
        if channel == bytes((STDIN,)) and takes_input:
            await stdio.feed(data)
        elif channel == bytes((RESIZE,)):
            with contextlib.suppress(ValueError, KeyError, TypeError, struct.error, OSError):
                size = json.loads(data)
                stdio.resize(size["Width"], size["Height"])
        elif message == bytes((CLOSE, STDIN)) and takes_input:
            stdio.close_stdin()


def _exited(argv: Sequence[str], code: int) -> Object:
    if code == 0:
        return _SUCCESS
    command = f"error executing command [{' '.join(argv)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {command}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failed(why: str) -> Object:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {why}",
        "reason": "InternalError",
        "details": {"causes": [{"message": why}]},
        "code": 500,
    }
