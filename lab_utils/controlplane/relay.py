"""A pair of open connections and the bytes between them.

Hides back-pressure and half-closed connections. A pair of protocols instead of streams: no task and
no copy per chunk. Connections to Services do without transports: see splice.py.
"""

import asyncio
import socket
import struct
from typing import cast

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
