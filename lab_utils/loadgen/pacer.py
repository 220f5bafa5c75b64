"""What keeps the schedule: a timer of the kernel that the event loop waits for like for a socket.

The loop's own timers are rounded up to whole milliseconds on Linux (epoll's resolution), and a
thread that keeps time has to wait for the interpreter just when there is most to send. A timerfd
has neither fault: it wakes the loop some 50 us after the moment, at no cost in between.
"""

import asyncio
import contextlib
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable, Sequence

_CLOCK_MONOTONIC, _ABSOLUTE = 1, 1  # linux/time.h, linux/timerfd.h
_NS = 1_000_000_000


class Pacer:
    """Calls launch(i) at due_ns[i] for each i in order, then finished().

    It never waits for an answer: that is what makes the loop open. What is overdue is launched at
    once.

    Args:
        due_ns: Rising readings of `time.perf_counter_ns`.
        launch: Called in the event loop; must return at once.
        finished: Called after the last launch.
    """

    def __init__(
        self, due_ns: Sequence[int], launch: Callable[[int], object], finished: Callable[[], object]
    ) -> None:
        self._due_ns, self._launch, self._finished = due_ns, launch, finished
        self._next = 0
        self._alarm = (
            _TimerFd(self._catch_up) if sys.platform == "linux" else _Timer(self._catch_up)
        )

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._catch_up()

    def stop(self) -> None:
        """Launch nothing more."""
        self._next = len(self._due_ns)
        self._alarm.close()

    def _catch_up(self) -> None:
        while self._next < len(self._due_ns):
            if (due_ns := self._due_ns[self._next]) > time.perf_counter_ns():
                self._alarm.set(due_ns)
                return
            self._next += 1
            self._launch(self._next - 1)
        self._finished()


class _TimerFd:
    """A timerfd(2); Python has it of its own from 3.13 on. perf_counter is CLOCK_MONOTONIC here."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring, self._libc = ring, ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def set(self, due_ns: int) -> None:
        wanted = struct.pack("@4l", 0, 0, *divmod(due_ns, _NS))
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, wanted, None)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._ring()

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class _Timer:
    """The loop's own timer, for systems whose loops are exact to the microsecond (kqueue)."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_ns: int) -> None:
        left_s = (due_ns - time.perf_counter_ns()) / _NS
        self._handle = asyncio.get_running_loop().call_later(left_s, self._ring)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
