"""The queue against the recursion of its textbook, on a clock that wakes up late."""

import asyncio
import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_utils.simulation import Server, serve
from worker.device import Accelerator
from worker.engine import Engine
from worker.jobs import Abandoned, DeadlineExceeded, Job, Overloaded, Work
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


TWINS = {
    "first come": ({}, {}),
    "last come": ({"discipline": "lifo"}, {"order": "lifo"}),
    "two places": ({"queue": 2}, {"places": 2}),
    "a deadline": ({"deadline_ms": 700}, {"deadline_s": 0.7}),
    "batches": (
        {"batch_max": 4, "batch_wait_ms": 200, "batch_base_ms": 300},
        {"batch_most": 4, "batch_wait_s": 0.2, "batch_base_s": 0.3},
    ),
    "everything": (
        {"slots": 2, "queue": 3, "discipline": "lifo", "deadline_ms": 400, "batch_max": 3,
         "batch_wait_ms": 100, "batch_base_ms": 200},
        {"slots": 2, "places": 3, "order": "lifo", "deadline_s": 0.4, "batch_most": 3,
         "batch_wait_s": 0.1, "batch_base_s": 0.2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TWINS)
async def test_the_twin_of_the_analysis_serves_as_the_worker_does(name, seed):
    settings, twin = TWINS[name]
    random = np.random.default_rng(seed)
    arrivals_s, services_s = np.cumsum(random.exponential(0.4, 300)), random.exponential(0.5, 300)
    engine, clock = make(**{"queue": 1000} | settings)
    jobs: list[Job | None] = []
    for arrived_s, service_s in zip(arrivals_s.tolist(), services_s.tolist(), strict=True):
        clock.move_to(arrived_s)
        try:
            jobs.append(engine.submit(lasting(service_s)))
        except Overloaded:
            jobs.append(None)
    clock.move_to(1e6)
    served = serve(arrivals_s, services_s, Server(**{"places": 1000} | twin))
    done = [job for job in jobs if job is not None and job.ended.result() is None]
    assert served.ok.tolist() == [job in done for job in jobs]
    starts_s = [job.started_s for job in done]
    ends_s = [job.started_s + job.times.service_s for job in done]
    assert served.start_s[served.ok].tolist() == pytest.approx(starts_s)
    assert served.end_s[served.ok].tolist() == pytest.approx(ends_s)


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


async def test_last_come_first_served_starts_the_newest():
    engine, clock = make(discipline="lifo")
    jobs = []
    for now_s in range(3):
        clock.move_to(now_s / 10)
        jobs.append(engine.submit(lasting(1.0)))
    clock.move_to(10.0)
    assert [job.started_s for job in jobs] == [0.0, 2.0, 1.0]


@pytest.mark.parametrize("lag_s", [0.0, 0.3, 5.0])
async def test_a_request_that_waits_as_long_as_its_deadline_is_dropped_at_that_instant(lag_s):
    engine, clock = make(lag_s, deadline_ms=1500)
    served, late = (engine.submit(lasting(2.0)) for _ in range(2))
    clock.move_to(1.0)
    in_time = engine.submit(lasting(2.0))
    clock.move_to(20.0)
    await served.done()
    with pytest.raises(DeadlineExceeded, match=r"deadline of 1\.5 s"):
        await late.done()
    assert (late.ended_s, in_time.started_s) == (1.5, 2.0)


async def test_a_dropped_request_gives_its_place_back():
    engine, clock = make(deadline_ms=1000, queue=1)
    engine.submit(lasting(5.0))
    engine.submit(lasting(5.0))
    clock.move_to(1.0)
    assert engine.submit(lasting(5.0)).arrived_s == 1.0


async def test_whoever_waits_when_a_slot_becomes_free_is_served_as_one_batch():
    engine, clock = make(batch_max=3, batch_base_ms=800)
    jobs = [engine.submit(lasting(1.0)) for _ in range(5)]
    clock.move_to(20.0)
    assert [job.batch_size for job in jobs] == [1, 3, 3, 3, 1]
    assert [job.times.service_s for job in jobs] == pytest.approx([1.0, 1.4, 1.4, 1.4, 1.0])


@pytest.mark.parametrize("lag_s", [0.0, 0.5])
async def test_a_free_slot_waits_for_a_full_batch_but_not_longer_than_it_may(lag_s):
    engine, clock = make(lag_s, slots=2, batch_max=2, batch_wait_ms=300)
    alone = engine.submit(lasting(1.0))
    clock.move_to(2.0)
    first = engine.submit(lasting(1.0))
    clock.move_to(2.1)
    second = engine.submit(lasting(1.0))
    clock.move_to(20.0)
    assert (alone.started_s, alone.batch_size) == (0.3, 1)
    assert (first.started_s, second.started_s, first.batch_size) == (2.1, 2.1, 2)


async def test_a_batch_takes_places_of_the_free_slots_before_those_of_the_queue():
    engine, _ = make(queue=0, batch_max=2, batch_wait_ms=1000)
    engine.submit(lasting(1.0))
    engine.submit(lasting(1.0))
    assert engine.running == 2
    with pytest.raises(Overloaded):
        engine.submit(lasting(1.0))


async def test_a_start_beside_busy_slots_is_slower():
    engine, clock = make(slots=3, load_factor=2.0)
    jobs = [engine.submit(lasting(1.0)) for _ in range(3)]
    clock.move_to(10.0)
    assert [job.times.service_s for job in jobs] == [1.0, 1.5, 2.0]


async def test_the_first_requests_are_slow_and_so_are_those_after_a_long_rest():
    engine, clock = make(warmup=2, warmup_factor=3.0, cold_after_s=10.0)
    took_s = []
    for arrived_s in (0.0, 5.0, 10.0, 15.0, 30.0):
        clock.move_to(arrived_s)
        job = engine.submit(lasting(1.0))
        clock.move_to(arrived_s + 4.0)
        took_s.append(job.times.service_s)
    assert took_s == [3.0, 2.0, 1.0, 1.0, 3.0]


async def test_more_slots_serve_who_waits_at_once():
    engine, clock = make()
    jobs = [engine.submit(lasting(2.0)) for _ in range(3)]
    clock.move_to(1.0)
    engine.configure(Settings(slots=2))
    clock.move_to(10.0)
    assert [job.started_s for job in jobs] == [0.0, 1.0, 2.0]


async def test_drawn_times_are_those_of_the_index_however_the_requests_come():
    engine, clock = make(slots=8, distribution="exponential", seed=5)
    counted = [engine.submit(Work()) for _ in range(3)]
    again = engine.submit(Work(index=1))
    clock.move_to(100.0)
    assert again.times.service_s == counted[1].times.service_s
    assert len({job.times.service_s for job in counted}) == 3


async def test_tokens_come_at_their_instants_and_the_last_one_with_the_end():
    loop = asyncio.get_running_loop()
    timeline = Timeline(loop)
    settings = Settings(prefill_ms=60, prompt_token_ms=1, token_ms=20)
    engine = Engine(settings, timeline, Accelerator(timeline))
    job = engine.submit(Work(prompt_tokens=10, output_tokens=4))
    came_s = [(number, loop.time() - job.started_s) async for number in job.tokens()]
    assert [number for number, _ in came_s] == [0, 1, 2, 3]
    assert [at_s for _, at_s in came_s] == pytest.approx([0.07, 0.09, 0.11, 0.13], abs=0.05)
    assert all(at_s > 0.069 + 0.02 * number for number, at_s in came_s)
    assert (await job.done()).service_s == pytest.approx(0.13)


async def test_an_abandoned_text_stops_and_gives_its_slot_to_the_next():
    engine, clock = make(prefill_ms=1000, prompt_token_ms=0, token_ms=1000)
    text, following = engine.submit(Work(output_tokens=100)), engine.submit(lasting(1.0))
    clock.move_to(5.0)
    assert engine.abandon(text)
    clock.move_to(10.0)
    assert (await following.done()).queue_s == 5.0
    with pytest.raises(Abandoned):
        await anext(text.tokens())


async def test_a_text_that_was_dropped_has_no_tokens():
    engine, clock = make(deadline_ms=1000)
    engine.submit(lasting(5.0))
    text = engine.submit(Work(output_tokens=3))
    clock.move_to(2.0)
    with pytest.raises(DeadlineExceeded):
        await anext(text.tokens())


async def test_a_slowdown_stretches_what_is_submitted_while_it_lasts():
    clock = LateClock()
    timeline = Timeline(clock)
    engine = Engine(Settings(), timeline, Accelerator(timeline), lambda: 4.0)
    job = engine.submit(lasting(1.0))
    clock.move_to(10.0)
    assert job.times.service_s == 4.0


async def test_the_time_that_jobs_spend_in_the_system_adds_up_to_littles_l():
    engine, clock = make(deadline_ms=2500)
    jobs = [engine.submit(lasting(1.0)) for _ in range(4)]
    clock.move_to(0.5)
    engine.abandon(jobs[1])
    clock.move_to(1.5)
    assert engine.in_system_s == 1.0 + 0.5 + 1.5 + 1.5
    clock.move_to(10.0)
    assert engine.in_system_s == sum(job.ended_s - job.arrived_s for job in jobs) == 6.5
