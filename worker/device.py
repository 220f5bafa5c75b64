"""Where service time is spent: an accelerator (time passes, no CPU) or a processor (CPU burns).

A device is told when something starts and reports when it ended. It never queues: that is
`engine.py`.
"""

import asyncio
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from worker.settings import MAX_SLOTS
from worker.timeline import Callback, Timeline


class Run(Protocol):
    """Something that runs on a device."""

    def cancel(self) -> None:
        """Stop it; its end is not reported."""
        ...


class Device(Protocol):
    """Something that runs any number of things at a time."""

    def run(self, started_s: float, service_s: float, on_end: Callback) -> Run:
        """Take something that starts at started_s; on_end is never called within this call."""
        ...


class Accelerator:
    """Takes time but no CPU: whatever starts at started_s ends at started_s + service_s."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def run(self, started_s: float, service_s: float, on_end: Callback) -> Run:
        """Plan the end."""
        return self._timeline.at(started_s + service_s, on_end)


class Processor:
    """Burns CPU-seconds, each run in a thread of its own, so that health answers stay alive.

    Here the end is a measurement: under a CPU limit a run takes longer than its CPU-seconds.
    """

    def __init__(self, timeline: Timeline, loop: asyncio.AbstractEventLoop) -> None:
        self._timeline = timeline
        self._loop = loop
        self._threads = ThreadPoolExecutor(MAX_SLOTS, thread_name_prefix="burn")

    def run(self, started_s: float, service_s: float, on_end: Callback) -> Run:
        """Burn service_s; started_s is the past by the time a thread begins."""
        burning = _Burning(service_s)

        def report(burnt: asyncio.Future[float]) -> None:
            if not burning.cancelled:
                on_end(burnt.result())
                self._timeline.catch_up()

        self._loop.run_in_executor(self._threads, burning.burn).add_done_callback(report)
        return burning


_BLOCK = bytes(16 * 1024)


class _Burning:
    """CPU time being used up by a thread."""

    def __init__(self, cpu_s: float) -> None:
        self._cpu_s = cpu_s
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def burn(self) -> float:
        """Use the CPU time of this thread; tell when it was used up, on the loop's clock."""
        until_s = time.thread_time() + self._cpu_s
        while time.thread_time() < until_s and not self.cancelled:
            hashlib.blake2b(_BLOCK)  # about 20 us, during which the interpreter's lock is free
        return time.monotonic()
