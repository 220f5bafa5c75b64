"""One proxied connection: a client, a pod, and the bytes between them.

Hides back-pressure, half-closed connections and lost nodes. A pair of protocols instead of
streams: no task and no copy per chunk.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from lab_utils.controlplane.routes import Backend

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with time 0: closing sends RST instead of FIN


def reset(transport: asyncio.Transport) -> None:
    """End a connection with a RST, which a client sees as refused or reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


class Side(asyncio.Protocol):
    """One side: what it receives goes out at the other. No transport: not open (any more)."""

    other: "Side"
    transport: asyncio.Transport | None = None
    has_ended = False
    """It has said its last word, and may still listen."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that this side is open."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the end on; the other side may still have something to say."""
        if self.transport is None or self.other.transport is None:
            return False
        self.has_ended = True
        self.other.transport.write_eof()
        if self.other.has_ended:
            self.transport.close()
        return True

    def pause_writing(self) -> None:
        """Stop reading from the other side while this one is slow."""
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on from the other side."""
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side as this one was closed."""
        self.transport, other = None, self.other.transport
        if other is not None and not other.is_closing():
            reset(other) if exc else other.close()


class Relay(Side):
    """The client's side; it opens the pod's.

    Args:
        choose: Client address -> where to connect; None refuses.
        is_down: Tells whether a node has lost power.
        relays: Where the relay enters itself while it is open.
    """

    def __init__(
        self,
        choose: Callable[[str], Backend | None],
        is_down: Callable[[str], bool],
        relays: "set[Relay]",
    ) -> None:
        self._choose, self._is_down, self._relays = choose, is_down, relays
        self._node = ""
        self._connecting: asyncio.Task[None] | None = None
        self._is_lost = False
        self.other = _PodSide(self)

    def is_node_down(self) -> bool:
        """Tell whether the pod's node has lost power."""
        return self._is_down(self._node)

    def abort(self) -> None:
        """End both connections at once."""
        if self.transport is not None:
            reset(self.transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Choose a pod and connect to it; nothing is read from the client before."""
        super().connection_made(transport)
        self._relays.add(self)
        backend = self._choose(transport.get_extra_info("peername")[0])
        if backend is None:
            self.abort()
            return
        self._node = backend.node
        if self.is_node_down():
            self._is_lost = True
        else:
            cast(asyncio.Transport, transport).pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(backend))

    async def _connect(self, backend: Backend) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.other, backend.address, backend.port)
        except OSError as exc:
            self.other.connection_lost(exc)
        finally:
            self._connecting = None

    def lose(self) -> None:
        """Go on without a pod: its node has no power, and tells nobody."""
        self._is_lost = True
        if self.transport is not None:
            self.transport.resume_reading()  # only to notice when the client gives up

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; those to a lost node vanish, until it is back and resets the stranger."""
        if not self._is_lost:
            super().data_received(data)
        elif not self.is_node_down():
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the pod's side too, or stop connecting to it."""
        self._relays.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)


class _PodSide(Side):
    """The pod's side; when its node is without power, the client is not to notice."""

    def __init__(self, client: Relay) -> None:
        self.other = self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        client = self.other.transport
        if client is None or client.is_closing():
            transport.close()
        else:
            client.resume_reading()

    def eof_received(self) -> bool:
        return not self._client.is_node_down() and super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client.is_node_down() and not self._client.has_ended:
            self.transport = None
            self._client.lose()
        else:
            super().connection_lost(exc)
