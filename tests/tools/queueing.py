"""An open loop against real workers, beside the same requests in the queue of the textbook."""

import asyncio
import math
import time
from dataclasses import dataclass

import aiohttp
import numpy as np

from lab_utils.simulation import Server, response_band, serve
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


@dataclass(frozen=True)
class Twin:
    """What the recursion says about the very requests that were measured."""

    mean_s: float
    refused_share: float


def twin(station: Station, measured: Measured) -> Twin:
    """Replay the recorded send times and the known service times."""
    order, settings = np.argsort(measured.sent_s), station.settings
    server = Server(slots=settings.slots, places=settings.queue)
    sent_s = measured.sent_s[order]
    served = serve(sent_s, station.services_s[order], server)
    mean_s = float((served.end_s - sent_s)[served.ok].mean())
    return Twin(mean_s, float(1 - served.ok.mean()))


def sampling_bands(station: Station) -> tuple[Band, Band]:
    """Say where 99 of 100 runs of this length lie: their mean time and their refused share."""
    return response_band(
        station.n,
        station.rate_rps,
        list(map(ServiceTime.of(station.settings).draw, range(50_000))),
        slots=station.settings.slots,
        places=station.settings.queue,
        level=0.99,
    )
