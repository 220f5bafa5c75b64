"""A queueing theorist finds the theory in a running worker.

All stations run side by side, so that the bench takes as long as its longest run.
"""

import asyncio
import math
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest

from lab_utils.theory import mmc_response_s
from tests.tools.queueing import Measured, Station, fire, sampling_bands, twin
from tests.tools.workers import running
from worker.settings import Settings

S = 0.1
"""Mean service time: the overhead of a busy machine, a few milliseconds, shall not matter."""
SECONDS = 20.0
CALM_S, ATTEMPTS = 0.01, 3
"""A machine on which one request in a hundred is delayed by more says nothing about the worker."""


def station(name: str, rho: float, seed: int, **settings) -> Station:
    settings = {"service_ms": S * 1000, "queue": 10_000, "seed": seed} | settings
    made = Settings(**settings)
    return Station(name, rho, made, int(SECONDS * rho * made.slots / (made.service_ms / 1000)))


def mg1_response_s(rho: float, cv: float) -> float:
    """Pollaczek (1930) and Khinchine (1932)."""
    return S * (1 + rho / (1 - rho) * (1 + cv * cv) / 2)


def blocking(rho: float, k: int) -> float:
    """M/M/1/K, Kleinrock (1975), section 3.6."""
    return (1 - rho) * rho**k / (1 - rho ** (k + 1))


STATIONS = [
    made
    for number, rho in enumerate((0.5, 0.7, 0.9))
    for made in (
        station("M/M/1", rho, number, distribution="exponential"),
        station(
            "M/M/4", rho, 10 + number, distribution="exponential", slots=4, service_ms=4000 * S
        ),
        station("M/D/1", rho, 20 + number),
        station("M/G/1", rho, 30 + number, distribution="lognormal", cv=1.5),
        station("M/M/1/5", rho, 40 + number, distribution="exponential", queue=4),
    )
]
FORMULA_S = {
    "M/M/1": lambda rho: mmc_response_s(rho, S),
    "M/M/4": lambda rho: mmc_response_s(rho, 4 * S, 4),
    "M/D/1": lambda rho: mg1_response_s(rho, 0.0),
    "M/G/1": lambda rho: mg1_response_s(rho, 1.5),
}


@dataclass(frozen=True)
class Seen:
    """What was measured at one station, and the sum that its worker keeps for Little's law."""

    measured: Measured
    in_system_s: float


def measure(stations: list[Station]) -> dict[str, Seen]:
    """Measure all stations at the same time; again if the machine was too busy to tell."""
    for _ in range(ATTEMPTS):
        seen = measure_once(stations)
        delay_s = np.concatenate([one.measured.overhead_s for one in seen.values()])
        if np.quantile(delay_s, 0.99) < CALM_S:
            break
    return seen


def measure_once(stations: list[Station]) -> dict[str, Seen]:
    with ExitStack() as stack:
        workers = [stack.enter_context(running(**one.environ)) for one in stations]
        for worker in workers:
            worker.infer(service_ms=0)  # the first request of a process takes longer than others

        async def fire_at_all() -> list[Measured]:
            pairs = zip(stations, workers, strict=True)
            return await asyncio.gather(*(fire(one, worker.port) for one, worker in pairs))

        measured = asyncio.run(fire_at_all())
        sums_s = [worker.metric("lab_in_system_seconds_total") for worker in workers]
    return {
        str(one): Seen(saw, sum_s)
        for one, saw, sum_s in zip(stations, measured, sums_s, strict=True)
    }


@pytest.fixture(scope="module")
def runs() -> dict[str, Seen]:
    return measure(STATIONS)


@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_the_mean_is_the_one_of_the_trace_twin(runs, station):
    measured = runs[str(station)].measured
    expected = twin(station, measured)
    assert abs(measured.mean_s - expected.mean_s) <= 0.03 * expected.mean_s + 0.002
    assert 1 - measured.ok.mean() == pytest.approx(expected.refused_share, abs=0.01)


@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_the_mean_is_where_chance_puts_that_of_the_formula(runs, station):
    measured = runs[str(station)].measured
    mean_s, refused = sampling_bands(station)
    assert measured.mean_s - 0.002 <= mean_s.high
    assert measured.mean_s >= mean_s.low
    assert 1 - measured.ok.mean() in refused
    if station.name in FORMULA_S:
        assert FORMULA_S[station.name](station.rho) in mean_s
    else:
        assert blocking(station.rho, 5) in refused


@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_littles_law_holds(runs, station):
    seen = runs[str(station)]
    measured = seen.measured
    response_s = (measured.queue_s + measured.service_s)[measured.ok]
    assert seen.in_system_s == pytest.approx(response_s.sum(), rel=0.01)


FREE = [
    Station(
        distribution,
        0.05,
        Settings(distribution=distribution, slots=1024, service_ms=500, cv=0.5, seed=7),
        n=2000,
    )
    for distribution in ("exponential", "lognormal")
]
"""Requests that never wait, about a hundred a second."""


@pytest.fixture(scope="module")
def alone() -> dict[str, Seen]:
    return measure(FREE)


@pytest.mark.parametrize("station", FREE, ids=str)
def test_the_measured_service_time_is_the_configured_one(alone, station):
    mean_s = station.services_s.mean()
    assert abs(alone[str(station)].measured.mean_s - mean_s) <= 0.001 + 0.01 * mean_s


def exponential_cdf(t: np.ndarray) -> np.ndarray:
    return 1 - np.exp(-t / 0.5)


def lognormal_cdf(t: np.ndarray) -> np.ndarray:
    variance = math.log1p(0.5**2)
    z = (np.log(t / 0.5) + variance / 2) / math.sqrt(variance)
    return np.array([0.5 * (1 + math.erf(one / math.sqrt(2))) for one in z])


@pytest.mark.parametrize(
    ("station", "cdf"), [(FREE[0], exponential_cdf), (FREE[1], lognormal_cdf)], ids=str
)
def test_measured_service_times_follow_the_distribution_asked_for(alone, station, cdf):
    at = cdf(np.sort(alone[str(station)].measured.latency_s))
    n = len(at)
    distance = max((at - np.arange(n) / n).max(), (np.arange(1, n + 1) / n - at).max())
    assert distance < 1.63 / math.sqrt(n)  # Kolmogorov and Smirnov, at 1 %
