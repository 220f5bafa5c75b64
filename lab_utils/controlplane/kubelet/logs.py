r"""What containers print: taken from a pipe, kept in a file, read back.

The event loop reads the pipe, so a container costs no thread. A line in the file is what a CRI
runtime writes, `2026-11-23T15:20:35.123456789Z stdout F text\n`; both streams share one pipe, so
their order is kept. A file that grows over 10 MiB is begun anew: on a real node, too, nobody sees
through `kubectl logs` what was before a rotation.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab_utils.controlplane.status import bad_request
from lab_utils.controlplane.timestamps import parse_rfc3339

MAX_BYTES = 10 * 2**20
_LONGEST_LINE = 16 * 1024
_CHUNK = 64 * 1024
_UNTAKEN_CHUNKS = 4
_FOLLOW_PERIOD_S = 0.1


class LogWriter:
    """Copies one pipe into one file until the pipe ends or close() is called."""

    def __init__(self, path: Path, pipe: int) -> None:
        self._pipe, self._partial = pipe, b""
        self._readers: list[asyncio.Queue[bytes]] = []
        self._file = path.open("ab", buffering=0)
        self._loop = asyncio.get_running_loop()
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read_some)

    @property
    def closed(self) -> bool:
        """Tell whether everything was taken."""
        return self._file.closed

    def close(self) -> None:
        """Take what is still in the pipe."""
        while not self._file.closed and self._read_some():
            pass
        self._finish()

    async def attach(self) -> AsyncGenerator[bytes]:
        """Give what is printed from now on; who takes it slowly holds the container up."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._readers.append(queue)
        try:
            while not (self.closed and queue.empty()) and (chunk := await queue.get()):
                self._read_on()
                yield chunk
        finally:
            self._readers.remove(queue)
            self._read_on()

    def _read_on(self) -> None:
        """Read the pipe as long as nobody who is attached is behind."""
        if self.closed:
            return
        if all(queue.qsize() < _UNTAKEN_CHUNKS for queue in self._readers):
            self._loop.add_reader(self._pipe, self._read_some)
        else:
            self._loop.remove_reader(self._pipe)

    def _read_some(self) -> bool:
        """Take what is there; False when that is nothing."""
        try:
            chunk = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # the end of a terminal
            chunk = b""
        if not chunk:
            self._finish()
            return False
        self._keep(chunk)
        if self._readers:
            for queue in self._readers:
                queue.put_nowait(chunk)
            self._read_on()
        return True

    def _keep(self, chunk: bytes) -> None:
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._write(lines, b"F")
        while len(self._partial) > _LONGEST_LINE:
            self._write([self._partial[:_LONGEST_LINE]], b"P")
            self._partial = self._partial[_LONGEST_LINE:]

    def _write(self, lines: list[bytes], tag: bytes) -> None:
        prefix = b"%s stdout %s " % (_stamp(time.time_ns()).encode(), tag)
        data = b"".join(prefix + line + b"\n" for line in lines)
        try:
            if self._file.tell() > MAX_BYTES:
                self._file.truncate(0)
            self._file.write(data)
        except OSError:  # disk full: the container runs on, its log has a gap
            return

    def _finish(self) -> None:
        if not self._file.closed:
            if self._partial:
                self._write([self._partial], b"P")
            self._loop.remove_reader(self._pipe)
            self._file.close()
            for queue in self._readers:
                queue.put_nowait(b"")


@dataclass(frozen=True)
class LogOptions:
    """What `kubectl logs` asks for; since is a stamp as in the file."""

    timestamps: bool = False
    tail_lines: int | None = None
    since: str = ""
    limit_bytes: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "LogOptions":
        """Read the query of a request.

        Raises:
            ApiError: 400, a number is none.
        """
        try:
            tail, limit = query.get("tailLines"), query.get("limitBytes")
            since_ns = 0
            if "sinceSeconds" in query:
                since_ns = time.time_ns() - int(query["sinceSeconds"]) * 1_000_000_000
            elif "sinceTime" in query:
                since_ns = int(parse_rfc3339(query["sinceTime"]).timestamp() * 1e9)
            return cls(
                timestamps=query.get("timestamps") == "true",
                tail_lines=None if tail is None else max(int(tail), 0),
                since=_stamp(since_ns),
                limit_bytes=None if limit is None else int(limit),
            )
        except ValueError as exc:
            raise bad_request(f"invalid log options: {exc}") from exc


def read_log(path: Path, options: LogOptions) -> bytes:
    """Read the log of one run of a container."""
    with path.open("rb") as stream:
        chosen = deque(_selected(stream, options), maxlen=options.tail_lines)
    return b"".join(chosen)[: options.limit_bytes]


async def follow_log(
    path: Path, options: LogOptions, has_ended: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Read a log, then what is added to it, until the container has ended."""
    with path.open("rb") as stream:
        pending, before = b"", read_log(path, options)
        stream.seek(0, os.SEEK_END)
        yield before
        while True:
            ended = has_ended()
            *whole, pending = (pending + stream.read()).split(b"\n")
            if fresh := b"".join(_selected((line + b"\n" for line in whole), options)):
                yield fresh
            if stream.tell() > os.fstat(stream.fileno()).st_size:  # it was begun anew
                stream.seek(0)
            elif not whole and ended:
                return
            else:
                await asyncio.sleep(_FOLLOW_PERIOD_S)


def _selected(lines: Iterable[bytes], options: LogOptions) -> Iterator[bytes]:
    since = options.since.encode()
    for line in lines:
        stamp, _, rest = line.partition(b" ")
        if stamp >= since:
            _stream, tag, text = rest.split(b" ", 2)
            text = text if tag == b"F" else text[:-1]
            yield stamp + b" " + text if options.timestamps else text


def _stamp(time_ns: int) -> str:
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"
