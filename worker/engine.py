"""Slots, the queue before them, and batches: M/G/c/K, first or last come first served.

Hides who waits, who runs and with whom. Never answers a request and never sleeps: the timeline
tells what happens when.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence

from worker.device import Device, Run
from worker.jobs import Abandoned, DeadlineExceeded, Job, Overloaded, Work
from worker.model import TimeModel
from worker.settings import Settings
from worker.timeline import Timeline
from worker.warmth import Warmth


class Engine:
    """Runs at most `slots` batches at a time; at most `queue` other jobs wait."""

    def __init__(
        self,
        settings: Settings,
        timeline: Timeline,
        device: Device,
        slowdown: Callable[[], float] = lambda: 1.0,
        stalled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._timeline = timeline
        self._device = device
        self._slowdown, self._stalled = slowdown, stalled
        self._index = itertools.count()
        self._waiting: OrderedDict[Job, None] = OrderedDict()
        self._running: dict[Run, Sequence[Job]] = {}
        self._in_system_s, self._changed_s, self._in_system = 0.0, 0.0, 0
        self._settings = settings
        self._model = TimeModel.of(settings)
        self._warmth = Warmth.of(settings)

    def configure(self, settings: Settings) -> None:
        """Work with these settings from now on; what runs or waits keeps its time.

        Raises:
            InvalidSettings: The trace cannot be read; nothing has changed.
        """
        model = TimeModel.of(settings)
        now_s = self._timeline.catch_up()
        self._settings, self._model = settings, model
        self._warmth = self._warmth.configured(settings)
        self._dispatch(now_s)  # there may be more slots now
        self._timeline.catch_up()

    def resume(self) -> None:
        """Start what a stall that is over has held up."""
        self._dispatch(self._timeline.catch_up())
        self._timeline.catch_up()

    @property
    def running(self) -> int:
        """Jobs in service."""
        return sum(map(len, self._running.values()))

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    @property
    def mean_service_s(self) -> float:
        """Mean of the drawn times."""
        return self._model.times.mean_s

    @property
    def in_system_s(self) -> float:
        """Jobs that wait or run, summed over time up to now."""
        self._note(self._timeline.catch_up(), 0)
        return self._in_system_s

    def submit(self, work: Work) -> Job:
        """Take in a job that arrives now.

        Args:
            work: What it asks for.

        Returns:
            The job; await job.done() or iterate job.tokens().

        Raises:
            Overloaded: No place is free.
        """
        # A slot that ideally is free by now must not look busy because a timer is late.
        job = self._make(work, self._timeline.catch_up())
        free = self._settings.slots - len(self._running)
        if self.waiting >= self._settings.queue + max(0, free) * self._settings.batch_max:
            raise Overloaded(self._wait_s())
        self._waiting[job] = None
        self._note(job.arrived_s, 1)
        if self._settings.deadline_ms:
            self._timeline.at(job.arrived_s + self._settings.deadline_ms / 1000, self._drop_late)
        self._dispatch(job.arrived_s)
        self._timeline.catch_up()
        return job

    def abandon(self, job: Job) -> bool:
        """Give up a job: one that waits never gets a slot, one that writes tokens stops.

        Returns:
            False if it runs on: a batch and a single answer cannot be stopped half-way.
        """
        now_s = self._timeline.catch_up()
        if job in self._waiting:
            del self._waiting[job]
        elif (run := self._stoppable(job)) is not None:
            run.cancel()
            del self._running[run]
        else:
            return False
        self._end(job, now_s, Abandoned())
        self._dispatch(now_s)
        self._timeline.catch_up()
        return True

    def _make(self, work: Work, now_s: float) -> Job:
        clock = self._timeline.clock
        index = next(self._index) if work.index is None else work.index
        pace = self._model.pace(work, index).stretched(self._slowdown())
        begun = clock.create_future() if work.output_tokens else None
        return Job(work, pace, now_s, begun, clock.create_future())

    def _stoppable(self, job: Job) -> Run | None:
        if not job.work.output_tokens:
            return None
        return next((run for run, jobs in self._running.items() if jobs == [job]), None)

    def _drop_late(self, now_s: float) -> None:
        """Drop who has waited for as long as the deadline; the oldest are first in the queue."""
        deadline_s = self._settings.deadline_ms / 1000
        while self._waiting and deadline_s:
            oldest = next(iter(self._waiting))
            if oldest.arrived_s + deadline_s > now_s:
                return
            del self._waiting[oldest]
            self._end(oldest, now_s, DeadlineExceeded(deadline_s))

    def _dispatch(self, now_s: float) -> None:
        """Start what can start at this instant."""
        if self._stalled():
            return
        most, batch_wait_s = self._settings.batch_max, self._settings.batch_wait_ms / 1000
        while self._waiting and len(self._running) < self._settings.slots:
            if len(self._waiting) < most and batch_wait_s:
                opens_s = next(iter(self._waiting)).arrived_s + batch_wait_s
                if opens_s > now_s:  # more may come in time for this batch
                    self._timeline.at(opens_s, self._dispatch)
                    return
            last = self._settings.discipline == "lifo"
            size = min(most, len(self._waiting))
            self._start([self._waiting.popitem(last)[0] for _ in range(size)], now_s)

    def _start(self, jobs: list[Job], now_s: float) -> None:
        # A processor reports its ends late: who came in between starts when he came.
        now_s = max(now_s, max(job.arrived_s for job in jobs))
        alone_s = [job.pace.service_s for job in jobs]
        took_s = self._model.batch_s(alone_s) * self._model.load(len(self._running))
        took_s *= self._warmth.take(len(jobs), now_s)
        for job, one_s in zip(jobs, alone_s, strict=True):
            job.start(now_s, took_s / one_s if one_s else 1.0, len(jobs))

        def end(ended_s: float) -> None:
            del self._running[run]
            for job in jobs:
                self._end(job, ended_s)
            self._dispatch(ended_s)
            if not self._running:
                self._warmth.rest(ended_s)

        run = self._device.run(now_s, took_s, end)
        self._running[run] = jobs

    def _end(self, job: Job, now_s: float, failure: Exception | None = None) -> None:
        self._note(now_s, -1)
        job.end(now_s, failure)

    def _note(self, now_s: float, change: int) -> None:
        """Add up the time that jobs have spent here; their number changes now."""
        self._in_system_s += self._in_system * (now_s - self._changed_s)
        self._changed_s = now_s
        self._in_system += change

    def _wait_s(self) -> float:
        """Estimate when a place becomes free: the work that waits, shared by all slots."""
        return sum(job.pace.service_s for job in self._waiting) / self._settings.slots
