"""A server that costs next to nothing: what is measured is the client.

Run as `python -m tests.bench.target [FREEZE_AT_S FREEZE_S]`: prints its port, answers every request
as a worker would, and stands still once, FREEZE_AT_S after the first one. Ends with its stdin.
"""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import httptools

_BODY = (
    b'{"model_name":"clock","outputs":[{"name":"output","shape":[1],"datatype":"FP32",'
    b'"data":[1.0]}],"parameters":{"pod":"target","node":"n","role":"primary"}}'
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_BODY),
    _BODY,
)


class _Target(asyncio.Protocol):
    freeze: tuple[float, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if _Target.freeze is not None:
            (at_s, for_s), _Target.freeze = _Target.freeze, None
            asyncio.get_running_loop().call_later(at_s, time.sleep, for_s)
        self._transport.write(_ANSWER)
        if not self._parser.should_keep_alive():
            self._transport.close()


async def _serve() -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    server = await loop.create_server(_Target, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


@contextmanager
def serving(*freeze: float) -> Iterator[str]:
    """Run the target in a process of its own and give its base URL."""
    command = [sys.executable, "-m", "tests.bench.target", *map(str, freeze)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _Target.freeze = (float(sys.argv[1]), float(sys.argv[2]))
    asyncio.run(_serve())
