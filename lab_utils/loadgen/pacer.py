"""The thread that keeps the schedule.

An event loop's timer is late by a millisecond and more under load; a thread that sleeps until the
moment itself, with the kernel's timer slack turned off, is late by some 50 us and costs no CPU. It
never waits for an answer: that is what makes the loop open.
"""

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Sequence

_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_SPIN_NS = 200_000


class Pacer(threading.Thread):
    """Calls launch(i) at due_ns[i] for each i in order, then finished() unless stopped.

    Args:
        due_ns: Rising readings of `time.perf_counter_ns`.
        launch: Called in this thread; must return at once.
        finished: Called in this thread after the last launch.
    """

    def __init__(
        self, due_ns: Sequence[int], launch: Callable[[int], object], finished: Callable[[], object]
    ) -> None:
        super().__init__(name="pacer", daemon=True)
        self._due_ns, self._launch, self._finished = due_ns, launch, finished
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Launch nothing more."""
        self._stopped.set()

    def run(self) -> None:
        """Keep the schedule; what is overdue is launched at once."""
        # Where sleeps are not exact, the last part of each is spent spinning.
        spin_ns = 0 if _sharpen_sleep() else _SPIN_NS
        for index, due_ns in enumerate(self._due_ns):
            if not self._reach(due_ns, spin_ns):
                return
            self._launch(index)
        self._finished()

    def _reach(self, due_ns: int, spin_ns: int) -> bool:
        """Wait until due_ns; False if stopped on the way."""
        while (left_ns := due_ns - time.perf_counter_ns()) > spin_ns:
            if self._stopped.wait((left_ns - spin_ns) / 1e9):
                return False
        while time.perf_counter_ns() < due_ns:
            pass
        return not self._stopped.is_set()


def _sharpen_sleep() -> bool:
    """Have the kernel wake this thread at the moment asked for, not up to 50 us later."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0) == 0)
