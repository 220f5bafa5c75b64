"""The connections to one address: a new one per attempt, kept ones, or a pool of a fixed size."""

import asyncio
import socket
import ssl
import time
from collections import deque
from urllib.parse import urlsplit

from lab_utils.loadgen.connection import Answer, Connection
from lab_utils.loadgen.plan import INFER_PATH

_ADDRESS_TTL_S = 1.0  # a name is looked up once a second, not once a connection
Address = tuple[str, int]


class Endpoint:
    """One address that requests can be sent to.

    Args:
        url: Its base URL.
        keep_alive: As in Policy.

    Attributes:
        url: As given.
        name: Its host and port.
        outstanding: How many attempts are waiting for an answer of it.
    """

    def __init__(self, url: str, keep_alive: bool | int) -> None:
        parts = urlsplit(url.rstrip("/") + INFER_PATH)
        tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if tls else 80)
        self._tls = ssl.create_default_context() if tls else None
        self.url = url
        self.name, self.outstanding = f"{self._host}:{self._port}", 0
        self._head = _write_head(parts.path, parts.netloc.rpartition("@")[2], bool(keep_alive))
        self._keeps = bool(keep_alive)
        self._idle: deque[Connection] = deque()
        size = None if isinstance(keep_alive, bool) else keep_alive
        self._free = None if size is None else asyncio.Semaphore(size)
        self._unopened = size or 0
        self._addresses: list[Address] = []
        self._resolved_s = -_ADDRESS_TTL_S

    async def ask(self, body: bytes) -> Answer:
        """Send one request and wait for the whole answer.

        Raises:
            OSError: No connection, or it broke.
            BrokenAnswer: The answer is not what the protocol allows.
        """
        self.outstanding += 1
        try:
            if self._free is None:
                return await self._ask(body)
            async with self._free:
                return await self._ask(body)
        finally:
            self.outstanding -= 1

    async def _ask(self, body: bytes) -> Answer:
        connection = self._reuse() or await self._connect()
        try:
            answer = await connection.ask(self._head % len(body) + body)
        except BaseException:  # cancelled too: the answer may still come
            connection.close()
            raise
        if self._keeps and connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _reuse(self) -> Connection | None:
        """Take a kept connection, unless the pool is not yet full."""
        if self._unopened > 0:
            self._unopened -= 1
            return None
        while self._idle:
            # A pool takes turns; otherwise the one used last, so that no more are kept than needed.
            connection = self._idle.popleft() if self._free else self._idle.pop()
            if connection.reusable:
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        for host, port in (addresses := await self._resolve()):
            try:
                _, connection = await loop.create_connection(
                    Connection,
                    host,
                    port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
            except OSError:
                if (host, port) == addresses[-1]:
                    raise
            else:
                return connection
        raise socket.gaierror(socket.EAI_NODATA, f"{self._host} has no address")

    async def _resolve(self) -> list[Address]:
        if time.monotonic() - self._resolved_s > _ADDRESS_TTL_S:
            found = await asyncio.get_running_loop().getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM
            )
            self._addresses = list(dict.fromkeys((str(f[4][0]), self._port) for f in found))
            self._resolved_s = time.monotonic()
        return self._addresses

    def close(self) -> None:
        """Close the kept connections, and keep none from now on."""
        self._keeps = False
        for connection in self._idle:
            connection.close()


def _write_head(path: str, host: str, keep_alive: bool) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1".replace("%", "%%"),
        f"Host: {host}",
        "Content-Type: application/json",
        "Content-Length: %d",
        *([] if keep_alive else ["Connection: close"]),
        "\r\n",
    ]
    return "\r\n".join(lines).encode()
