"""An open loop against real workers, beside the same requests in the queue of the textbook.

Simulations are vectorised over repetitions, which stand for all the other ways in which chance
could have played.
"""

import asyncio
import math
import time
from dataclasses import dataclass

import aiohttp
import numpy as np

from lab_utils.theory import Band
from tests.tools.workers import BODY, INFER
from worker.model import ServiceTime
from worker.settings import Settings


@dataclass(frozen=True)
class Station:
    """A queue of the textbook, in Kendall's notation, at a utilisation."""

    name: str
    rho: float
    settings: Settings
    n: int

    def __str__(self) -> str:
        return f"{self.name} at rho {self.rho:g}"

    @property
    def rate_rps(self) -> float:
        return self.rho * self.settings.slots / (self.settings.service_ms / 1000)

    @property
    def services_s(self) -> np.ndarray:
        """The service time of each request: a pure function of seed and index."""
        return np.array(list(map(ServiceTime.of(self.settings).draw, range(self.n))))

    @property
    def environ(self) -> dict[str, object]:
        changed = self.settings.model_dump(exclude_defaults=True)
        return {f"WORKER_{name.upper()}": value for name, value in changed.items()}


@dataclass(frozen=True)
class Measured:
    """What a client saw; one entry per request."""

    sent_s: np.ndarray
    latency_s: np.ndarray
    ok: np.ndarray
    queue_s: np.ndarray
    service_s: np.ndarray

    @property
    def mean_s(self) -> float:
        return float(self.latency_s[self.ok].mean())

    @property
    def overhead_s(self) -> np.ndarray:
        """What the machine, the network and HTTP add to the worker's own times."""
        return (self.latency_s - self.queue_s - self.service_s)[self.ok]


async def fire(station: Station, port: int) -> Measured:
    """Send Poisson arrivals, each at its time whatever became of those before it."""
    gaps_s = np.random.default_rng(station.settings.seed).exponential(
        1 / station.rate_rps, station.n
    )
    url = f"http://127.0.0.1:{port}{INFER}"
    started_s = time.perf_counter()

    async def ask(session: aiohttp.ClientSession, index: int, due_s: float) -> tuple[float, ...]:
        await asyncio.sleep(due_s - (time.perf_counter() - started_s))
        sent_s = time.perf_counter() - started_s
        async with session.post(url, json=BODY | {"parameters": {"index": index}}) as response:
            said = (await response.json()).get("parameters", {})
            latency_s = time.perf_counter() - started_s - sent_s
            times = (said.get("queue_s", math.nan), said.get("service_s", math.nan))
            return sent_s, latency_s, response.status == 200, *times

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        rows = await asyncio.gather(
            *(ask(session, index, due_s) for index, due_s in enumerate(np.cumsum(gaps_s)))
        )
    sent_s, latency_s, ok, queue_s, service_s = map(np.array, zip(*rows, strict=True))
    return Measured(sent_s, latency_s, ok, queue_s, service_s)


def replay(
    arrivals_s: np.ndarray, services_s: np.ndarray, slots: int, places: int
) -> tuple[np.ndarray, np.ndarray]:
    """Put requests through the recursion of Kiefer and Wolfowitz (1955), with a finite queue.

    Args:
        arrivals_s: (repetitions, n), each row in order.
        services_s: (repetitions, n).
        slots: Requests served at a time.
        places: Requests that may wait.

    Returns:
        The time in the system of each request, and whether it was accepted.
    """
    rows = np.arange(len(arrivals_s))
    free_s = np.zeros((len(rows), slots))
    response_s, accepted = np.zeros_like(arrivals_s), np.ones(arrivals_s.shape, bool)
    starts_s = np.full((len(rows), places), -np.inf)  # of the last `places` accepted requests
    last = np.zeros(len(rows), int)
    for i in range(arrivals_s.shape[1]):
        now_s = arrivals_s[:, i]
        slot = free_s.argmin(axis=1)
        start_s = np.maximum(now_s, free_s[rows, slot])
        if places:
            # The queue is full if the last but `places` accepted one still waits for its start.
            accepted[:, i] = starts_s[rows, last] <= now_s
        else:
            accepted[:, i] = start_s <= now_s
        taken = accepted[:, i]
        end_s = start_s + services_s[:, i]
        free_s[rows[taken], slot[taken]] = end_s[taken]
        if places:
            starts_s[rows[taken], last[taken]] = start_s[taken]
            last[taken] = (last[taken] + 1) % places
        response_s[:, i] = end_s - now_s
    return response_s, accepted


@dataclass(frozen=True)
class Twin:
    """What the recursion says about the very requests that were measured."""

    mean_s: float
    refused_share: float


def twin(station: Station, measured: Measured) -> Twin:
    """Replay the recorded send times and the known service times."""
    order = np.argsort(measured.sent_s)
    response_s, accepted = replay(
        measured.sent_s[order][None],
        station.services_s[order][None],
        station.settings.slots,
        station.settings.queue,
    )
    return Twin(float(response_s[accepted].mean()), float(1 - accepted.mean()))


def sampling_bands(station: Station, *, repetitions: int = 400) -> tuple[Band, Band]:
    """Say where 99 of 100 runs of this length lie: their mean time and their refused share."""
    shape = (repetitions, station.n)
    chance = np.random.default_rng(1)
    arrivals_s = np.cumsum(chance.exponential(1 / station.rate_rps, shape), axis=1)
    pool_s = np.array(list(map(ServiceTime.of(station.settings).draw, range(50_000))))
    response_s, accepted = replay(
        arrivals_s, chance.choice(pool_s, shape), station.settings.slots, station.settings.queue
    )
    means_s = (response_s * accepted).sum(axis=1) / accepted.sum(axis=1)
    return _band(means_s), _band(1 - accepted.mean(axis=1))


def _band(values: np.ndarray) -> Band:
    low, high = np.quantile(values, [0.005, 0.995])
    return Band(float(values.mean()), float(low), float(high))
