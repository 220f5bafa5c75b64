"""A queueing theorist finds the theory in a running worker.

All stations run side by side, so that the bench takes as long as its longest run.
"""

import asyncio
import math
from contextlib import ExitStack

import numpy as np
import pytest

from lab_utils.theory import mmc_response_s
from tests.tools.queueing import Measured, Station, fire, sampling_bands, twin
from tests.tools.workers import Worker, running
from worker.settings import Settings

S = 0.05
"""Mean service time: an overhead of a millisecond or two shall not matter."""
SECONDS = 20.0


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


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[Measured, float]]:
    """Give what was measured at each station, and Little's sum of its worker."""
    with ExitStack() as stack:
        workers = [stack.enter_context(running(**one.environ)) for one in STATIONS]
        measured = fire_at_all(STATIONS, workers)
        sums_s = [worker.metric("lab_in_system_seconds_total") for worker in workers]
    names = map(str, STATIONS)
    return dict(zip(names, zip(measured, sums_s, strict=True), strict=True))


def fire_at_all(stations: list[Station], workers: list[Worker]) -> list[Measured]:
    for worker in workers:
        worker.infer(service_ms=0)  # the first request of a process takes longer than others

    async def fire_together() -> list[Measured]:
        pairs = zip(stations, workers, strict=True)
        return await asyncio.gather(*(fire(one, worker.port) for one, worker in pairs))

    return asyncio.run(fire_together())


@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_the_mean_is_the_one_of_the_trace_twin(runs, station):
    measured, _ = runs[str(station)]
    expected = twin(station, measured)
    assert abs(measured.mean_s - expected.mean_s) <= 0.03 * expected.mean_s + 0.002
    assert 1 - measured.ok.mean() == pytest.approx(expected.refused_share, abs=0.01)


@pytest.mark.parametrize("station", STATIONS, ids=str)
def test_the_mean_is_where_chance_puts_that_of_the_formula(runs, station):
    measured, _ = runs[str(station)]
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
    measured, in_system_s = runs[str(station)]
    response_s = (measured.queue_s + measured.service_s)[measured.ok]
    assert in_system_s == pytest.approx(response_s.sum(), rel=0.01)


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    """Give latencies, in seconds, of requests that never wait."""
    made = [
        station("free", 0.05, 7, distribution=distribution, slots=1024, service_ms=200, cv=0.5)
        for distribution in ("exponential", "lognormal")
    ]
    made = [Station(one.name, one.rho, one.settings, 2000) for one in made]
    with ExitStack() as stack:
        workers = [stack.enter_context(running(**one.environ)) for one in made]
        measured = fire_at_all(made, workers)
    return {
        one.settings.distribution: seen.latency_s for one, seen in zip(made, measured, strict=True)
    }


def exponential_cdf(t: np.ndarray) -> np.ndarray:
    return 1 - np.exp(-t / 0.2)


def lognormal_cdf(t: np.ndarray) -> np.ndarray:
    variance = math.log1p(0.5**2)
    z = (np.log(t / 0.2) + variance / 2) / math.sqrt(variance)
    return np.array([0.5 * (1 + math.erf(one / math.sqrt(2))) for one in z])


@pytest.mark.parametrize(
    ("distribution", "cdf", "cv"),
    [("exponential", exponential_cdf, 1.0), ("lognormal", lognormal_cdf, 0.5)],
)
def test_measured_service_times_follow_the_distribution_asked_for(alone, distribution, cdf, cv):
    latency_s = np.sort(alone[distribution])
    n = len(latency_s)
    assert n == 2000
    chance = 3 * cv / math.sqrt(n)  # three standard errors
    assert abs(latency_s.mean() - 0.2) <= 0.001 + (0.01 + chance) * 0.2
    at = cdf(latency_s)
    distance = max(
        (at - np.arange(n) / n).max(), (np.arange(1, n + 1) / n - at).max()
    )  # Kolmogorov and Smirnov
    assert distance < 1.63 / math.sqrt(n)
