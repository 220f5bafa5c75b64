"""Slots and the queue before them: M/G/c/K with first come, first served.

Hides who waits and who runs. Never answers a request and never looks at a clock: a device tells
when a job has ended.
"""

import asyncio
import math
from collections import deque

from worker.device import Device, Job


class Overloaded(Exception):
    """Every slot is busy and every place in the queue is taken.

    Attributes:
        retry_after_s: Whole seconds after which a place should be free, at least 1.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"The queue is full; retry in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class Engine:
    """Runs at most `slots` jobs at a time; at most `places` others wait in order of arrival."""

    def __init__(
        self, device: Device, *, slots: int, places: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._device = device
        self._slots = slots
        self._places = places
        self._loop = loop
        self._waiting: deque[Job] = deque()
        self._running = 0

    @property
    def running(self) -> int:
        """Jobs in service."""
        return self._running

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def submit(self, service_s: float) -> Job:
        """Take in a job that arrives now.

        Args:
            service_s: Its service time, in seconds.

        Returns:
            The job; await job.done.

        Raises:
            Overloaded: No place is free.
        """
        # A slot that ideally is free by now must not look busy because a timer is late.
        self._device.catch_up()
        job = Job(service_s, self._loop.time(), self._loop.create_future())
        if self._running < self._slots:
            self._start(job, job.arrived_s)
            self._device.catch_up()
        elif len(self._waiting) < self._places:
            self._waiting.append(job)
        else:
            raise Overloaded(self._retry_after_s())
        return job

    def abandon(self, job: Job) -> bool:
        """Take a job out of the queue; one that is in service runs on and False is returned."""
        if job not in self._waiting:
            return False
        self._waiting.remove(job)
        job.done.set_result(False)
        return True

    def _start(self, job: Job, free_s: float) -> None:
        self._running += 1
        job.started_s = max(job.arrived_s, free_s)
        self._device.run(job, self._end)

    def _end(self, job: Job, ended_s: float) -> None:
        self._running -= 1
        job.ended_s = ended_s
        if not job.done.done():  # the handler that waited was cancelled
            job.done.set_result(True)
        if self._waiting:
            self._start(self._waiting.popleft(), ended_s)

    def _retry_after_s(self) -> int:
        work_s = sum(job.service_s for job in self._waiting) / self._slots
        return max(1, math.ceil(work_s))
