"""An upgraded connection: after the 101 the API server carries bytes and understands none of them.

Both ends are taken from aiohttp, which has read the heads, and given back when they are lost; it
then cleans up as after any client that has gone.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
from aiohttp import web

from lab_utils.controlplane.relay import Side


def wanted_upgrade(headers: Mapping[str, str]) -> str:
    """Tell what a client wants to switch to, in lower case; empty when it does not."""
    asks = "upgrade" in headers.get("Connection", "").lower()
    return headers.get("Upgrade", "").lower() if asks else ""


async def carry(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass a 101 on to the client, then bytes in both directions until one side ends.

    What one side does not read is not read from the other either.
    """
    names = {"connection", "upgrade"}
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name.lower() in names or name.lower().startswith("sec-websocket-")
    }
    response = web.StreamResponse(status=101, headers=headers)
    await response.prepare(request)
    if answer.connection is None or answer.connection.protocol is None:
        raise ConnectionResetError("the other side ended at once")
    client, server = _End(request.protocol), _End(answer.connection.protocol, None)
    client.other, server.other = server, client
    client.take_over()
    server.take_over()
    try:
        await asyncio.gather(client.lost, server.lost)
    finally:
        client.close()
        server.close()
    return response


class _End(Side):
    """One end of the connection, and the protocol of aiohttp that it was taken from.

    Its set_parser(parser, *more) is told what to call with the bytes that follow the head.
    """

    def __init__(self, owner: Any, *more: None) -> None:
        self._owner, self._more = owner, more
        self.transport = cast(asyncio.Transport | None, owner.transport)
        self.lost = asyncio.get_running_loop().create_future()

    def take_over(self) -> None:
        """Pass on what came behind the head, and from now on everything."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("a side has gone")
        self._owner.set_parser(_Rest(self), *self._more)
        self.transport.set_protocol(self)
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Close: neither TLS nor WebSockets know connections that are open on one side."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side too, and tell aiohttp."""
        super().connection_lost(exc)
        if not self.lost.done():
            self.lost.set_result(None)
        self._owner.connection_lost(exc)

    def close(self) -> None:
        """End this side; what it was sent is delivered first."""
        if self.transport is not None:
            self.transport.close()


class _Rest:
    """Takes what aiohttp has read behind the head, in place of its parser of WebSockets."""

    def __init__(self, end: Side) -> None:
        self._end = end

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass it on."""
        self._end.data_received(data)
        return False, b""

    def feed_eof(self) -> None:
        """Do nothing: the end is told when the connection is lost."""
