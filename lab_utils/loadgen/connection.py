"""HTTP/1.1 on one connection, one request at a time: an asyncio protocol around a C parser.

No client library stands between the socket and the clock: per request it costs a third of the CPU
of one, and nothing is queued, retried or redirected unasked.
"""

import asyncio
import time
from typing import NamedTuple, cast

import httptools

from lab_utils.loadgen.outcomes import BrokenAnswer

_MAX_BODY_BYTES = 64 * 2**20


class Answer(NamedTuple):
    """A whole answer.

    Attributes:
        status: Of HTTP.
        body: As sent.
        at_ns: When its last byte was read (`time.perf_counter_ns`), which is before the event loop
            finds time for whoever waits for it.
    """

    status: int
    body: bytes
    at_ns: int


class Connection(asyncio.Protocol):
    """One connection; made by `loop.create_connection`.

    Attributes:
        reusable: Whether another request may be sent on it.
    """

    def __init__(self) -> None:
        self.reusable = True
        self._answered: asyncio.Future[Answer] | None = None
        self._begun = self._framed = False
        self._body: list[bytes] = []
        self._size = self._read_ns = 0
        # The parser's callbacks are methods of this object.
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes) -> Answer:
        """Send a request and wait for the whole answer.

        Raises:
            ConnectionError: The connection broke, or was closed without an answer.
            BrokenAnswer: The answer is not what the protocol allows.
        """
        if not self.reusable:
            raise ConnectionResetError("closed before the request")
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answered
        finally:
            self._answered = None

    def close(self) -> None:
        """Close it; an answer that is still to come is not waited for."""
        self.reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls it)."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse what has come (asyncio calls it)."""
        self._read_ns = time.perf_counter_ns()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._fail(BrokenAnswer(str(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say what the end of the connection means (asyncio calls it)."""
        if exc is None and self._status() and not self._framed:
            self._finish()  # the end of the connection is the end of such a body
        elif exc is None and self._begun:
            self._fail(BrokenAnswer("the connection was closed in the middle of the answer"))
        else:
            self._fail(exc or ConnectionResetError("closed without an answer"))
        self.reusable = False
        del self._parser  # it refers back to this object, and a collection would take its time

    def on_message_begin(self) -> None:
        """Begin an answer (the parser calls it)."""
        self._begun, self._framed, self._size = True, False, 0
        self._body.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the answer says where it ends (the parser calls it)."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_body(self, data: bytes) -> None:
        """Collect the body (the parser calls it)."""
        self._body.append(data)
        self._size += len(data)
        if self._size > _MAX_BODY_BYTES:
            self._fail(BrokenAnswer("the answer is larger than any the protocol needs"))

    def on_message_complete(self) -> None:
        """Hand over the answer (the parser calls it); 1xx only announces one."""
        if self._status() >= 200:
            self.reusable = self.reusable and self._parser.should_keep_alive()
            self._finish()

    def _status(self) -> int:
        return int(self._parser.get_status_code()) if self._begun else 0

    def _finish(self) -> None:
        if self._answered is None:
            self._fail(BrokenAnswer("an answer that nobody has asked for"))
        elif not self._answered.done():
            self._answered.set_result(Answer(self._status(), b"".join(self._body), self._read_ns))
        self._begun = False

    def _fail(self, exc: Exception) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc)
