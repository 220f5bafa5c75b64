"""Tails: what the slowest requests do to those who need many of them.

A distribution is given as its exceedance: a function t -> P(T > t) of seconds.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from lab_utils.errors import InvalidInput
from lab_utils.theory.queues import solve_falling

Exceeds = Callable[[float], float]
"""P(T > t) as a function of t in seconds: 1 at 0, falling."""


def exceeds_exponential(mean_s: float) -> Exceeds:
    """Give P(T > t) = exp(-t / mean)."""
    return lambda t: math.exp(-t / mean_s)


def exceeds_lognormal(mean_s: float, cv: float) -> Exceeds:
    """Give P(T > t) of a lognormal time: a product of many small influences, with a heavy tail.

    Args:
        mean_s: Mean.
        cv: Standard deviation over mean, above 0.

    Source:
        ln T is normal with variance ln(1 + cv^2) and mean ln(mean) - variance / 2 (Johnson, Kotz
        and Balakrishnan 1994, Continuous Univariate Distributions I, chapter 14).
    """
    variance = math.log1p(cv * cv)
    middle, width = math.log(mean_s) - variance / 2, math.sqrt(2 * variance)
    return lambda t: 0.5 * math.erfc((math.log(t) - middle) / width) if t > 0 else 1.0


def exceeds_sample(latency_s: ArrayLike) -> Exceeds:
    """Give P(T > t) of measured latencies: the share of those that took longer.

    Raises:
        InvalidInput: There is no latency.
    """
    known = np.asarray(latency_s, dtype=float)
    known = np.sort(known[~np.isnan(known)])
    if not known.size:
        raise InvalidInput("latency_s has no answered request: fire some load first")
    return lambda t: 1.0 - float(np.searchsorted(known, t, side="right")) / known.size


def quantile_s(q: float, exceeds: Exceeds) -> float:
    """Invert an exceedance: the time that a share q of the requests stays below."""
    return solve_falling(exceeds, 1 - q)


def mixture_quantile_s(q: float, parts: Sequence[tuple[float, Exceeds]]) -> float:
    """Give a percentile of requests of several kinds: never the mean of their percentiles.

    Args:
        q: 0.99 for the p99.
        parts: Share of the requests and their exceedance; the shares sum to 1.

    Source:
        Total probability: P(T > t) = sum of share * P(T > t | kind).
    """
    if not math.isclose(total := sum(share for share, _ in parts), 1.0):
        raise InvalidInput(f"The shares of parts sum to {total:g}: want 1")
    return quantile_s(q, lambda t: sum(share * exceeds(t) for share, exceeds in parts))


def slow_share(one_slow: float, fan_out: int) -> float:
    """Predict how many requests are slow that need n answers: 1 - (1 - p)^n.

    Args:
        one_slow: p, probability that one answer is slow.
        fan_out: n, answers that a request waits for.

    Source:
        Dean and Barroso (2013), The tail at scale.
    """
    return -math.expm1(fan_out * math.log1p(-one_slow)) if one_slow < 1 else 1.0


def slowest_mean_s(mean_s: float, fan_out: int) -> float:
    """Predict the mean of the slowest of n exponential times: S H_n.

    Source:
        Renyi (1953): the gaps between order statistics are exponential, so H_n = 1 + 1/2 + ...
    """
    return mean_s * math.fsum(1 / k for k in range(1, fan_out + 1))


def hedged(exceeds: Exceeds, delay_s: float) -> Exceeds:
    """Give the exceedance of a request that is sent a second time after a delay.

    Args:
        exceeds: Of one request; the second is independent of the first.
        delay_s: d. The second one is sent by a share P(X > d) of the requests: hedging after the
            q-quantile costs 1 - q more load.

    Source:
        Dean and Barroso (2013), The tail at scale: P(T > t) = P(X > t) P(X > t - d).
    """
    return lambda t: exceeds(t) * (exceeds(t - delay_s) if t >= delay_s else 1.0)
