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


class Relay(asyncio.Protocol):
    """The client's side; it owns the connection to the pod.

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
        self._lost = self._client_done = self._pod_done = False
        self._connecting: asyncio.Task[None] | None = None
        self._client: asyncio.Transport
        self._pod: asyncio.Transport | None = None

    def abort(self) -> None:
        """End both connections at once."""
        reset(self._client)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Choose a pod and connect to it; nothing is read from the client before."""
        self._client = cast(asyncio.Transport, transport)
        self._relays.add(self)
        backend = self._choose(transport.get_extra_info("peername")[0])
        if backend is None:
            reset(self._client)
            return
        self._node = backend.node
        if self._is_down(self._node):
            self._lost = True
        else:
            self._client.pause_reading()
            self._connecting = asyncio.get_running_loop().create_task(self._connect(backend))

    async def _connect(self, backend: Backend) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: _PodSide(self), backend.address, backend.port)
        except OSError as exc:
            self.pod_lost(exc)
        finally:
            self._connecting = None

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; those to a lost node vanish, until it is back and resets the stranger."""
        if self._pod is not None:
            self._pod.write(data)
        elif self._lost and not self._is_down(self._node):
            reset(self._client)

    def eof_received(self) -> bool:
        """Pass the end of the client's bytes on; the pod may still have something to say."""
        if self._pod is None:
            return False
        self._client_done = True
        self._finish(self._pod)
        return True

    def pause_writing(self) -> None:
        """Stop reading from the pod while the client is slow."""
        if self._pod is not None:
            self._pod.pause_reading()

    def resume_writing(self) -> None:
        """Read from the pod again."""
        if self._pod is not None:
            self._pod.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the pod's side as the client's was closed."""
        self._relays.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        pod, self._pod = self._pod, None
        if pod is not None:
            reset(pod) if exc else pod.close()

    def pod_made(self, pod: asyncio.Transport) -> None:
        """Let the bytes flow."""
        if self._client.is_closing():
            pod.abort()
            return
        self._pod = pod
        self._client.resume_reading()

    def pod_data(self, data: bytes) -> None:
        """Pass the pod's bytes on."""
        self._client.write(data)

    def pod_eof(self) -> bool:
        """Pass the end of the pod's bytes on, unless it is its node that ended."""
        if self._is_down(self._node):
            return False
        self._pod_done = True
        self._finish(self._client)
        return True

    def pod_lost(self, exc: Exception | None) -> None:
        """Close the client's side as the pod's was closed; a node without power tells nobody."""
        self._pod = None
        if self._client.is_closing():
            return
        if self._is_down(self._node) and not self._client_done:
            self._lost = True
            self._client.resume_reading()  # only to notice when the client gives up
        elif exc is not None:
            reset(self._client)
        else:
            self._client.close()

    def pause_client(self) -> None:
        """Stop reading from the client while the pod is slow."""
        self._client.pause_reading()

    def resume_client(self) -> None:
        """Read from the client again."""
        self._client.resume_reading()

    def _finish(self, other: asyncio.Transport) -> None:
        """One side has said its last word; when both have, the connection is over."""
        other.write_eof()
        if self._client_done and self._pod_done:
            self._client.close()


class _PodSide(asyncio.Protocol):
    """The pod's side; it only reports."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Report the connection."""
        self._relay.pod_made(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        """Report bytes."""
        self._relay.pod_data(data)

    def eof_received(self) -> bool:
        """Report the last byte."""
        return self._relay.pod_eof()

    def pause_writing(self) -> None:
        """Report that the pod is slow."""
        self._relay.pause_client()

    def resume_writing(self) -> None:
        """Report that it keeps up again."""
        self._relay.resume_client()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        self._relay.pod_lost(exc)
