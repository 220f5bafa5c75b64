"""What a process reads and writes: pipes, or one pseudo-terminal for everything.

Hides descriptors that do not block. No task, no thread and no buffer per stream: whoever reads
takes a chunk when he can pass it on, so a slow reader holds the process up, as a pipe does.
"""

import asyncio
import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

CHUNK_BYTES = 64 * 1024


@dataclass
class Stdio:
    """Both ends of a process's input and output; None: the process has no such stream.

    theirs are (stdin, stdout, stderr) as subprocess.Popen takes them.
    """

    theirs: tuple[int, int, int]
    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None
    is_terminal: bool = False
    _feeding: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def pipes(cls, *, stdin: bool, stdout: bool = True, stderr: bool | None = None) -> "Stdio":
        """Make pipes for the streams that are wanted; stderr None goes where stdout goes."""
        made = cls((subprocess.DEVNULL,) * 3)
        theirs = list(made.theirs)
        if stdin:
            theirs[0], made.stdin = os.pipe()
        if stdout:
            made.stdout, theirs[1] = os.pipe()
        if stderr is None:
            theirs[2] = subprocess.STDOUT
        elif stderr:
            made.stderr, theirs[2] = os.pipe()
        made.theirs = (theirs[0], theirs[1], theirs[2])
        return made._unblocked()

    @classmethod
    def terminal(cls) -> "Stdio":
        """Make a pseudo-terminal; both streams of output are one."""
        ours, theirs = os.openpty()
        return cls((theirs,) * 3, stdin=ours, stdout=ours, is_terminal=True)._unblocked()

    def _unblocked(self) -> "Stdio":
        for descriptor in self._ours():
            os.set_blocking(descriptor, False)
        return self

    def _ours(self) -> set[int]:
        return {one for one in (self.stdin, self.stdout, self.stderr) if one is not None}

    def resize(self, columns: int, rows: int) -> None:
        """Tell a terminal's process how large the window is; pipes have none."""
        if self.is_terminal and self.stdout is not None:
            fcntl.ioctl(self.stdout, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def started(self) -> None:
        """Let go of the process's ends, which it has now, or which nobody needs."""
        for descriptor in {one for one in self.theirs if one >= 0}:
            os.close(descriptor)

    async def feed(self, data: bytes) -> None:
        """Give the process input, one giver after the other; what it will not read is dropped."""
        async with self._feeding:
            try:
                if self.stdin is not None:
                    await _write(self.stdin, data)
            except OSError:
                self.close_stdin()

    def close_stdin(self) -> None:
        """Say that there is no more input; a terminal has no such word."""
        if self.stdin is not None and not self.is_terminal:
            _close(self.stdin)
            self.stdin = None

    def close(self) -> None:
        """Let go of this side."""
        for descriptor in self._ours():
            _close(descriptor)
        self.stdin = self.stdout = self.stderr = None


async def chunks(descriptor: int | None) -> AsyncIterator[bytes]:
    """Read until the other end is closed; a closed terminal answers with an error (EIO)."""
    loop = asyncio.get_running_loop()
    while descriptor is not None:
        try:
            chunk = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            await _ready(descriptor, loop.add_reader, loop.remove_reader)
            continue
        except OSError:
            return
        if not chunk:
            return
        yield chunk


async def _write(descriptor: int, data: bytes) -> None:
    loop, rest = asyncio.get_running_loop(), memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            await _ready(descriptor, loop.add_writer, loop.remove_writer)


async def _ready(descriptor: int, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
    ready = asyncio.Event()
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)


def _close(descriptor: int) -> None:
    """Close it, and wait for it no more: its number may be another's at once."""
    loop = asyncio.get_running_loop()
    loop.remove_reader(descriptor)
    loop.remove_writer(descriptor)
    os.close(descriptor)


def shell_code(code: int) -> int:
    """Turn the -9 of subprocess into the 137 of a shell and of Kubernetes."""
    return 128 - code if code < 0 else code
