"""One proxied connection: a client, a pod, and the bytes between them, on bare sockets.

Hides back-pressure, half-closed connections and lost nodes. Transports and tasks of asyncio would
cost each new connection twice what the rest of the proxy does: here a connection is a few system
calls in callbacks of the event loop.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable

from lab_utils.controlplane.routes import Backend

Choose = Callable[[str], Backend | None]
"""A client's address -> the pod of its new connection; None: nobody is there to answer."""
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with time 0: closing sends RST instead of FIN
_CHUNK = 256 * 1024
_AT_ONCE = 64  # connections accepted before anything else has its turn
_PAUSE_S = 0.5
_CONNECTED, _CONNECTING = (0, errno.EISCONN), (errno.EINPROGRESS, errno.EALREADY)
_log = logging.getLogger(__name__)


class Listener:
    """Accepts connections on a listening socket and splices each with a pod's, until close()."""

    def __init__(
        self,
        bound: socket.socket,
        choose: Choose,
        is_down: Callable[[str], bool],
        splices: "set[Splice]",
    ) -> None:
        self._bound, self._choose, self._is_down = bound, choose, is_down
        self._splices, self._loop = splices, asyncio.get_running_loop()
        bound.setblocking(False)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts inherits it
        self._loop.add_reader(bound, self._accept)

    def close(self) -> None:
        """Accept no more."""
        self._loop.remove_reader(self._bound)
        self._bound.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, (host, _port) = self._bound.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:  # no more descriptors: those who wait are served a little later
                _log.error("cannot accept: %s", exc)
                self._loop.remove_reader(self._bound)
                self._loop.call_later(_PAUSE_S, self._resume)
                return
            Splice(client, self._is_down, self._splices).open(self._choose(host))

    def _resume(self) -> None:
        if self._bound.fileno() >= 0:
            self._loop.add_reader(self._bound, self._accept)


class Splice:
    """A client's connection and the one to its pod.

    Args:
        client: The accepted socket.
        is_down: Tells whether a node has lost power.
        splices: Where it enters itself while it is open.
    """

    def __init__(
        self, client: socket.socket, is_down: Callable[[str], bool], splices: "set[Splice]"
    ) -> None:
        self._is_down, self._splices, self._node = is_down, splices, ""
        self._client, self._pod = _Side(client, self), _Side(socket.socket(), self)
        self._client.other, self._pod.other = self._pod, self._client
        splices.add(self)

    def open(self, backend: Backend | None) -> None:
        """Connect to the pod; without one the client is refused, on a node that is off it waits."""
        if backend is None:
            self.abort()
            return
        self._node = backend.node
        if self._is_down(self._node):
            self._lose_pod()
        else:
            self._pod.connect(backend.address, backend.port)

    def abort(self) -> None:
        """End both connections at once, as a host does that knows nothing of them."""
        self._client.reset()
        self._pod.reset()
        self._splices.discard(self)

    def close(self) -> None:
        """End both connections in peace."""
        self._client.close()
        self._pod.close()
        self._splices.discard(self)

    def connected(self) -> None:
        """Let the bytes flow; a request is mostly there already."""
        self._client.start()
        if self in self._splices:
            self._pod.start()

    def ended(self, side: "_Side") -> None:
        """Pass the end of one side on; the other may still have something to say."""
        if side is self._pod and self._is_lost():
            self._lose_pod()
        elif side.other.has_ended:
            self.close()
        else:
            side.other.finish()

    def failed(self, side: "_Side") -> None:
        """Break what has broken on one side on the other as well."""
        if side is self._pod and self._is_lost():
            self._lose_pod()
        else:
            self.abort()

    def discard(self) -> None:
        """Lose what a client says to a node that is off; one that is back resets the stranger."""
        if not self._is_down(self._node):
            self.abort()

    def _is_lost(self) -> bool:
        return self._is_down(self._node) and not self._client.has_ended

    def _lose_pod(self) -> None:
        """Go on without a pod: its node has no power, and tells nobody."""
        self._pod.close()
        self._client.listen_only()


class _Side:
    """One socket: what it receives goes out at the other side."""

    other: "_Side"

    def __init__(self, sock: socket.socket, splice: Splice) -> None:
        self._sock, self._splice, self._loop = sock, splice, asyncio.get_running_loop()
        self._number = sock.fileno()  # what the event loop is told: it often spells out its keys
        self._unsent = b""
        self._reads = self._writes = self._is_finishing = False
        self.has_ended = False
        """It has said its last word, and may still listen."""
        sock.setblocking(False)

    def connect(self, address: str, port: int) -> None:
        """Begin to connect; on loopback that is mostly done when asked a second time."""
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self._sock.connect_ex((address, port))
        if code in _CONNECTING:
            code = self._sock.connect_ex((address, port))
        if code in _CONNECTING:
            self._await_writing(self._settle)
        else:
            self._decide(code)

    def start(self) -> None:
        """Pass on what comes in, beginning with what is there."""
        self._read(self._receive)
        self._receive()

    def listen_only(self) -> None:
        """Notice only that the client speaks, or gives up."""
        self._unsent = b""
        self._stop_writing()
        self._read(self._discard)

    def finish(self) -> None:
        """Say the last word once all before it is sent."""
        self._is_finishing = True
        if not self._unsent:
            with contextlib.suppress(OSError):  # it has gone meanwhile: its own event tells
                self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close so that the other end sees a reset."""
        if self._sock.fileno() >= 0:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.close()

    def close(self) -> None:
        """Close the socket; twice does nothing more."""
        if self._sock.fileno() >= 0:
            self._stop_reading()
            self._stop_writing()
            self._sock.close()

    def _read(self, receive: Callable[[], None]) -> None:
        self._loop.add_reader(self._number, receive)
        self._reads = True

    def _stop_reading(self) -> None:
        if self._reads:
            self._loop.remove_reader(self._number)
            self._reads = False

    def _await_writing(self, send: Callable[[], None]) -> None:
        self._loop.add_writer(self._number, send)
        self._writes = True

    def _stop_writing(self) -> None:
        if self._writes:
            self._loop.remove_writer(self._number)
            self._writes = False

    def _settle(self) -> None:
        self._stop_writing()
        self._decide(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _decide(self, code: int) -> None:
        if code in _CONNECTED:
            self._splice.connected()
        else:
            self._splice.failed(self)

    def _receive(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._splice.failed(self)
            return
        if data:
            self.other.send(data)
        else:
            self.has_ended = True
            self._stop_reading()
            self._splice.ended(self)

    def _discard(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._splice.discard()
        else:
            self._splice.close()

    def send(self, data: bytes) -> None:
        """Send what can be sent; as long as there is a rest, the other side is not read."""
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._splice.failed(self)
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self.other._stop_reading()
            self._await_writing(self._send_rest)

    def _send_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        self._stop_writing()
        self.send(data)
        if self._unsent or self._sock.fileno() < 0:
            return
        if self._is_finishing:
            self.finish()
        elif not self.other.has_ended:
            self.other._read(self.other._receive)
