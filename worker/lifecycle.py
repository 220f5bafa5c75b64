"""From start to exit: live, then ready, then draining, then gone with exit code 0.

Hides signals and the order of a shutdown. Never decides what is served.
"""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Iterator
from socket import socket

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.faults import Faults
from worker.startup import Startup, measure

_TICK_S, _LINGER_TICKS = 0.02, 25
"""Half a second: how long a connection without a request may live on after SIGTERM. Its client may
have sent one that was not read yet; closing at once would reset it."""
_KILLED = 128 + signal.SIGTERM
"""Exit code of a process that SIGTERM has killed, as a shell says it."""


class Lifecycle:
    """What a worker is able to do right now.

    Attributes:
        on_sigterm: "drain": answer what is accepted, tell every client to leave, end. "wait": end
            when the clients have left by themselves, as many programs do. "exit": end at once, as a
            program does that has never heard of SIGTERM.
        loaded: Whether the model is there.
        draining: Whether SIGTERM has come.
    """

    def __init__(self, faults: Faults, on_sigterm: str) -> None:
        self._faults = faults
        self.on_sigterm = on_sigterm
        self.loaded = False
        self.draining = False
        self.startup: Startup | None = None

    @property
    def ready(self) -> bool:
        """Whether new requests should be sent here."""
        return self.loaded and not self.draining and not self._faults.active("not_ready")

    @property
    def ignores_sigterm(self) -> bool:
        """Whether a fault makes it deaf."""
        return self._faults.active("ignore_sigterm") is not None

    async def load(self, load_s: float) -> None:
        """Load the model, which takes load_s."""
        await asyncio.sleep(load_s)
        self.loaded = True


class CloseWhenDraining:
    """Adds `Connection: close` to every answer after SIGTERM, unless told to wait instead.

    A kept connection would otherwise bring its next request to a process that is about to end.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_last(message: Message) -> None:
            lifecycle = self._lifecycle
            leaving = lifecycle.draining and lifecycle.on_sigterm == "drain"
            if leaving and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_last)


class GracefulServer(uvicorn.Server):
    """uvicorn that answers everything it has accepted and takes SIGTERM for an order, not a death.

    uvicorn itself raises the signal again when all is done, which ends the process with a signal's
    exit status: to Kubernetes that is `Error`, not `Completed`.
    """

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain at SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain)
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, and note what it took to come this far."""
        await super().startup(sockets)
        self._lifecycle.startup = measure()

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Accept nothing new, answer everything else, end."""
        await self._stop_accepting()
        await self._linger()
        await super().shutdown(sockets)

    def _drain(self) -> None:
        if self._lifecycle.ignores_sigterm:
            return
        if self._lifecycle.on_sigterm == "exit":
            os._exit(_KILLED)
        self._lifecycle.draining = True
        self.should_exit = True

    async def _stop_accepting(self) -> None:
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())
        await asyncio.sleep(0)  # what was accepted in this very turn becomes a connection
        for server in self.servers:
            server.close()

    async def _linger(self) -> None:
        ticks = itertools.count() if self._lifecycle.on_sigterm == "wait" else range(_LINGER_TICKS)
        for _ in ticks:
            if not self.server_state.connections:
                break
            await asyncio.sleep(_TICK_S)
