"""uvicorn's HTTP connections, with each answer in one write and each error in one form.

Hides the transport. Never looks into a request.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from worker.wire import error_body

ABORT = "lab.abort"
"""Extension of the ASGI scope: how an application drops its connection without an answer."""


class Connection(HttpToolsProtocol):
    """One connection.

    uvicorn writes the head and the body of an answer one after the other: two system calls and two
    wake-ups of the client, a third of the CPU of a short request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the connection."""
        super().connection_made(Corked(transport, self.loop))

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"call": self.transport.abort}}

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close: where the next request begins is not known."""
        body = error_body("", 400, msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class Corked(asyncio.Transport):
    """A transport that sends what is written in one turn of the event loop at the turn's end."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._held: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hold it until the end of this turn."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def abort(self) -> None:
        """Close at once; what is held is lost."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed or about to be."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell about the socket."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Hand over no more data."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Hand over data again."""
        self._transport.resume_reading()
