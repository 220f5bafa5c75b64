"""First come, first served: many repetitions of one queue side by side.

Repetitions stand for all the other ways in which chance could have played, so this is what turns
a formula into a band for a run of a certain length.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab_utils.theory import Band

Times = NDArray[np.float64]


def replay(
    arrivals_s: Times, services_s: Times, slots: int = 1, places: int | None = None
) -> tuple[Times, NDArray[np.bool_]]:
    """Put requests through c slots and a queue, first come, first served.

    Args:
        arrivals_s: (repetitions, n), each row in order.
        services_s: (repetitions, n).
        slots: Requests served at a time.
        places: Requests that may wait; None for any number.

    Returns:
        (repetitions, n) each: the time in the system, and whether the request was accepted. A
        refused one takes no time of the server; its own time says nothing.

    Source:
        Kiefer and Wolfowitz (1955), On the theory of queues with many servers: a request starts
        when it is there and the slot that is free first is free.
    """
    rows = np.arange(len(arrivals_s))
    free_s = np.zeros((len(rows), slots))
    response_s, accepted = np.zeros_like(arrivals_s), np.ones(arrivals_s.shape, bool)
    started_s = np.full((len(rows), places or 0), -np.inf)  # of the last `places` accepted ones
    oldest = np.zeros(len(rows), int)
    for i in range(arrivals_s.shape[1]):
        now_s = arrivals_s[:, i]
        slot = free_s.argmin(axis=1)
        start_s = np.maximum(now_s, free_s[rows, slot])
        if places is not None:
            # The queue is full if the last but `places` accepted one still waits for its start.
            waits = started_s[rows, oldest] if places else start_s
            accepted[:, i] = waits <= now_s
        taken = accepted[:, i]
        end_s = start_s + services_s[:, i]
        free_s[rows[taken], slot[taken]] = end_s[taken]
        if places:
            started_s[rows[taken], oldest[taken]] = start_s[taken]
            oldest[taken] = (oldest[taken] + 1) % places
        response_s[:, i] = end_s - now_s
    return response_s, accepted


def response_band(
    n: int,
    rate_rps: float,
    services_s: ArrayLike,
    *,
    slots: int = 1,
    places: int | None = None,
    level: float = 0.95,
    repetitions: int = 400,
    seed: int = 1,
) -> tuple[Band, Band]:
    """Say where the mean of a run of n requests lies that begins with an empty queue.

    The formulas are those of an endless run. The mean of one minute at a utilisation of 0.8 lies
    anywhere between half and twice of it.

    Args:
        n: Requests of the run, arriving as a Poisson stream.
        rate_rps: Arrivals a second.
        services_s: Service times to draw from, with replacement.
        slots: Requests served at a time.
        places: Requests that may wait; None for any number.
        level: Share of the repetitions in the band.
        repetitions: How many runs are played.
        seed: Of their chance.

    Returns:
        Bands of the mean time in the system of accepted requests, and of the refused share.

    Source:
        Monte Carlo over replay().
    """
    chance = np.random.default_rng(seed)
    arrivals_s = np.cumsum(chance.exponential(1 / rate_rps, (repetitions, n)), axis=1)
    services = chance.choice(np.asarray(services_s, dtype=float), (repetitions, n))
    response_s, accepted = replay(arrivals_s, services, slots, places)
    means_s = (response_s * accepted).sum(axis=1) / accepted.sum(axis=1)
    return _band(means_s, level), _band(1 - accepted.mean(axis=1), level)


def _band(values: Times, level: float) -> Band:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Band(float(values.mean()), float(low), float(high))
