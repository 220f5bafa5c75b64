"""When requests are due. A schedule is fixed before the run and follows from its seed alone."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lab_utils.errors import InvalidInput

Schedule = NDArray[np.float64]
"""Rising times in seconds since the start of the run."""


def arrive_poisson(rate_rps: float, duration_s: float, random: np.random.Generator) -> Schedule:
    """Draw independent exponential gaps: users who know nothing of each other.

    Source:
        A Poisson process has exponential gaps; MLPerf LoadGen's server scenario does the same.
    """
    expected = rate_rps * duration_s
    times = np.empty(0)
    while not times.size or times[-1] < duration_s:
        gaps = random.exponential(1 / rate_rps, size=int(expected + 6 * expected**0.5) + 16)
        times = np.concatenate([times, np.cumsum(gaps) + (times[-1] if times.size else 0.0)])
    return times[times < duration_s]


def arrive_constantly(rate_rps: float, duration_s: float, random: np.random.Generator) -> Schedule:
    """Space the requests evenly, the first at 0 s: a metronome."""
    del random
    return np.arange(np.ceil(rate_rps * duration_s)) / rate_rps


ARRIVALS: dict[str, Callable[[float, float, np.random.Generator], Schedule]] = {
    "poisson": arrive_poisson,
    "constant": arrive_constantly,
}


def make_schedule(arrivals: str, rate_rps: float, duration_s: float, seed: int) -> Schedule:
    """Make the schedule of an open-loop run.

    Args:
        arrivals: One of ARRIVALS.
        rate_rps: Mean requests per second.
        duration_s: Every request is due before this, in seconds.
        seed: The same seed gives the same schedule, bit for bit.

    Raises:
        InvalidInput: There are no such arrivals.
    """
    if arrivals not in ARRIVALS:
        raise InvalidInput(f"arrivals is {arrivals!r}: want one of {', '.join(ARRIVALS)}")
    return ARRIVALS[arrivals](rate_rps, duration_s, np.random.default_rng(seed))
