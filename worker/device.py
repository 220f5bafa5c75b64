"""Where service time is spent: an accelerator (time passes, no CPU) or a processor (CPU burns).

A device is told of a job that starts and reports when it ended. It never queues: that is
`engine.py`.
"""

import asyncio
import hashlib
import heapq
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol


@dataclass(eq=False, slots=True)
class Job:
    """One inference; instants are seconds of the event loop's clock.

    Attributes:
        service_s: Work asked for: seconds on an accelerator, CPU-seconds on a processor.
        arrived_s: When it was submitted.
        done: Becomes True when it has ended, False when it was abandoned in the queue.
        started_s: When a slot became its own.
        ended_s: When it gave the slot back.
    """

    service_s: float
    arrived_s: float
    done: asyncio.Future[bool]
    started_s: float = 0.0
    ended_s: float = 0.0

    @property
    def queue_s(self) -> float:
        """How long it waited for a slot."""
        return self.started_s - self.arrived_s

    @property
    def took_s(self) -> float:
        """How long it had a slot: service_s on an accelerator, longer on a limited processor."""
        return self.ended_s - self.started_s


OnEnd = Callable[[Job, float], None]
"""What a device calls with a job and the instant at which it ended."""


class Clock(Protocol):
    """The part of an event loop that an accelerator needs."""

    def time(self) -> float:
        """Tell the time, in seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back at `when` or, on a busy machine, later."""
        ...


class Device(Protocol):
    """Something that runs jobs, any number at a time."""

    def run(self, job: Job, on_end: OnEnd) -> None:
        """Take a job that starts at job.started_s; it ends by on_end, never within this call."""
        ...

    def catch_up(self) -> None:
        """Report every job that has ended by now, and see to it that the others will be."""
        ...


class Accelerator:
    """Takes time but no CPU, on the ideal timeline.

    A job ends at started_s + service_s, whenever the process wakes up to notice. If each start
    counted from the last wake-up instead, lateness would add up along a busy period: at a
    utilisation of 0.9 the mean time in the system comes out 10 % too long.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: list[tuple[float, int, Job, OnEnd]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def run(self, job: Job, on_end: OnEnd) -> None:
        """Note that the job ends service_s after its start."""
        end_s = job.started_s + job.service_s
        heapq.heappush(self._ends, (end_s, next(self._order), job, on_end))

    def catch_up(self) -> None:
        """Report what has ended by now, in the order of the ends; later starts included."""
        now_s = self._clock.time()
        while self._ends and self._ends[0][0] <= now_s:
            end_s, _, job, on_end = heapq.heappop(self._ends)
            on_end(job, end_s)
        self._set_timer()

    def _set_timer(self) -> None:
        wanted_s = self._ends[0][0] if self._ends else None
        if self._timer is not None:
            if self._timer.when() == wanted_s:
                return
            self._timer.cancel()
        self._timer = None if wanted_s is None else self._clock.call_at(wanted_s, self._wake_up)

    def _wake_up(self) -> None:
        self._timer = None
        self.catch_up()


class Processor:
    """Burns CPU-seconds, each job in a thread of its own, so that health answers stay alive.

    Here the end is a measurement: under a CPU limit a job takes longer than its CPU-seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, slots: int) -> None:
        self._loop = loop
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="burn")

    def run(self, job: Job, on_end: OnEnd) -> None:
        """Burn the job's service_s."""
        burnt = self._loop.run_in_executor(self._threads, _burn, job.service_s)
        burnt.add_done_callback(lambda ended: on_end(job, ended.result()))

    def catch_up(self) -> None:
        """Do nothing: the threads report by themselves."""


_BLOCK = bytes(16 * 1024)


def _burn(cpu_s: float) -> float:
    """Use cpu_s of this thread's CPU time; tell when it was used up, on the loop's clock."""
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        hashlib.blake2b(_BLOCK)  # about 20 us, during which the interpreter's lock is free
    return time.monotonic()
