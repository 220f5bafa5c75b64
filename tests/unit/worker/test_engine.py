"""The queue against the recursion of its textbook, on a clock that wakes up late."""

import asyncio
import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.device import Accelerator
from worker.engine import Engine
from worker.jobs import Abandoned, Job, Overloaded, Work
from worker.settings import Settings
from worker.timeline import Timeline


class LateClock:
    """A clock that moves only when told to, and whose timers fire late by lag_s."""

    def __init__(self, lag_s: float = 0.0) -> None:
        self.now_s, self.lag_s = 0.0, lag_s
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now_s

    def create_future(self) -> asyncio.Future[bool]:
        return self._loop.create_future()

    def call_at(self, when, callback):
        timer = asyncio.TimerHandle(when, callback, (), self._loop)
        heapq.heappush(self._timers, (when, id(timer), timer))
        return timer

    def move_to(self, until_s: float) -> None:
        while self._timers and self._timers[0][0] + self.lag_s <= until_s:
            when, _, timer = heapq.heappop(self._timers)
            self.now_s = max(self.now_s, when + self.lag_s)
            if not timer.cancelled():
                timer._run()
        self.now_s = until_s


def make(lag_s: float = 0.0, **settings) -> tuple[Engine, LateClock]:
    clock = LateClock(lag_s)
    timeline = Timeline(clock)
    return Engine(Settings(**settings), timeline, Accelerator(timeline)), clock


def lasting(service_s: float) -> Work:
    return Work(service_s=service_s)


def recursion(arrivals_s: list[float], services_s: list[float], slots: int) -> list[float]:
    """Give the start of each job: Kiefer and Wolfowitz (1955), Lindley (1952) for one slot."""
    free_s = [0.0] * slots
    starts = []
    for arrived_s, service_s in zip(arrivals_s, services_s, strict=True):
        start = max(arrived_s, heapq.heappop(free_s))
        heapq.heappush(free_s, start + service_s)
        starts.append(start)
    return starts


JOBS = st.lists(st.tuples(st.floats(0, 2), st.floats(0, 3)), min_size=1, max_size=40)


@given(jobs=JOBS, slots=st.integers(1, 4), lag_s=st.sampled_from([0.0, 0.01, 0.5, 2.0]))
def test_starts_are_those_of_the_recursion_however_late_the_process_wakes_up(jobs, slots, lag_s):
    gaps_s, services_s = zip(*jobs, strict=True)
    arrivals_s = [sum(gaps_s[: i + 1]) for i in range(len(gaps_s))]

    async def run() -> list[Job]:
        engine, clock = make(lag_s, slots=slots, queue=len(jobs))
        submitted = []
        for arrived_s, service_s in zip(arrivals_s, services_s, strict=True):
            clock.move_to(arrived_s)
            submitted.append(engine.submit(lasting(service_s)))
        clock.move_to(1e6)
        return submitted

    done = asyncio.run(run())
    assert [job.started_s for job in done] == recursion(arrivals_s, list(services_s), slots)
    assert all(job.ended.result() is None for job in done)
    assert [job.times.service_s for job in done] == pytest.approx(services_s, abs=1e-9)


async def test_a_request_beyond_the_last_place_is_refused_with_the_time_to_wait():
    engine, _ = make(queue=2)
    for _ in range(3):
        engine.submit(lasting(1.5))
    with pytest.raises(Overloaded, match="retry in 3 s"):
        engine.submit(lasting(1.5))
    assert (engine.running, engine.waiting) == (1, 2)


async def test_a_slot_that_is_ideally_free_does_not_look_busy_because_a_timer_is_late():
    engine, clock = make(lag_s=5.0, queue=0)
    engine.submit(lasting(1.0))
    clock.move_to(1.0)
    assert engine.submit(lasting(1.0)).started_s == 1.0


async def test_an_abandoned_request_never_gets_a_slot():
    engine, clock = make()
    first, gone, last = (engine.submit(lasting(1.0)) for _ in range(3))
    assert engine.abandon(gone)
    clock.move_to(10.0)
    await first.done()
    with pytest.raises(Abandoned):
        await gone.done()
    assert (await last.done()).queue_s == 1.0


async def test_a_request_in_service_is_not_abandoned():
    engine, clock = make()
    job = engine.submit(lasting(1.0))
    assert not engine.abandon(job)
    clock.move_to(1.0)
    assert (await job.done()).service_s == 1.0


async def test_a_request_whose_handler_was_cancelled_gives_its_slot_back():
    engine, clock = make()
    job, following = engine.submit(lasting(1.0)), engine.submit(lasting(1.0))
    job.ended.cancel()
    clock.move_to(2.0)
    assert (await following.done()).queue_s == 1.0
    assert engine.running == 0


async def test_a_request_of_no_length_is_done_at_once():
    engine, _ = make()
    job = engine.submit(lasting(0.0))
    assert job.ended.done()
    assert job.times.service_s == 0.0
