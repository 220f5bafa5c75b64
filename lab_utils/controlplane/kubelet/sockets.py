"""WebSockets as the kubelet accepts them: which protocols, how large, and for how long.

Refuses what is no WebSocket before anything is started. A client that has gone without a word is
noticed: the next ping is answered by its kernel with a reset.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from aiohttp import web

_LARGEST_MESSAGE = 32 * 2**20  # the limit of golang.org/x/net/websocket, which a kubelet uses
_PING_S = 5.0  # as often as kubectl does
_NO_SPDY = (
    "this server speaks WebSocket and not {}; use kubectl 1.31 or newer, "
    "without KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false or KUBECTL_PORT_FORWARD_WEBSOCKETS=false"
)
_T = TypeVar("_T")


@contextlib.asynccontextmanager
async def accept(
    request: web.Request, protocols: Sequence[str]
) -> AsyncIterator[web.WebSocketResponse]:
    """Open a WebSocket; the block is left in silence when the client has gone.

    Args:
        request: What asks for the upgrade.
        protocols: Subprotocols that are spoken; "" stands for a client that names none.

    Raises:
        web.HTTPBadRequest: The client speaks none of them, or no WebSocket.
    """
    upgrade = request.headers.get("Upgrade", "nothing")
    if upgrade.lower() != "websocket":
        raise web.HTTPBadRequest(text=_NO_SPDY.format(upgrade.upper()))
    wanted = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    if not {one.strip() for one in wanted} & set(protocols):
        known = ", ".join(filter(None, protocols))
        raise web.HTTPBadRequest(text=f"none of the protocols {wanted} is served: {known}")
    socket = web.WebSocketResponse(
        protocols=protocols, compress=False, max_msg_size=_LARGEST_MESSAGE, timeout=5.0
    )
    await socket.prepare(request)
    pings = asyncio.create_task(_keep_pinging(socket))
    try:
        with contextlib.suppress(ConnectionError):
            yield socket
    finally:
        pings.cancel()
        await socket.close()


async def _keep_pinging(socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.sleep(_PING_S)
            await socket.ping()


async def messages(socket: web.WebSocketResponse) -> AsyncIterator[bytes]:
    """Give what the client sends, until it closes; some clients send text."""
    async for message in socket:
        yield message.data if isinstance(message.data, bytes) else str(message.data).encode()


async def unless_gone(work: Coroutine[Any, Any, _T], listening: Coroutine[Any, Any, None]) -> _T:
    """Do something as long as the client listens; listening ends when it has gone.

    Raises:
        ConnectionResetError: It has gone.
    """
    doing, hearing = asyncio.create_task(work), asyncio.create_task(listening)
    try:
        await asyncio.wait((doing, hearing), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        hearing.result()
        raise ConnectionResetError("the client has gone")
    finally:
        doing.cancel()
        hearing.cancel()
        await asyncio.gather(doing, hearing, return_exceptions=True)
