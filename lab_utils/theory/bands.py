"""Values with a range: what chance alone allows a measurement to be."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Band:
    """A value and the range it should lie in."""

    value: float
    low: float
    high: float

    def __add__(self, other: "Band") -> "Band":
        """Chain two phases of time: everything adds, so the range is the widest possible."""
        return Band(self.value + other.value, self.low + other.low, self.high + other.high)

    def __contains__(self, measured: float) -> bool:
        """Tell whether a measurement is inside."""
        return self.low <= measured <= self.high


def cumulate_binomial(n: int, p: float) -> NDArray[np.float64]:
    """Give P(X <= k) for k = 0 .. n of a binomial variable, exactly.

    Source:
        The ratio of neighbouring terms, (n-k)/(k+1) * p/(1-p), summed as logarithms.
    """
    k = np.arange(n)
    ratios = np.log((n - k) / (k + 1)) + math.log(p / (1 - p))
    return _cumulate(np.concatenate([[0.0], np.cumsum(ratios)]) + n * math.log1p(-p))


def binomial_ranks(n: int, p: float, *, level: float = 0.95) -> tuple[int, int]:
    """Give the order statistics that enclose the p-quantile of n samples.

    Args:
        n: Samples.
        p: Between 0 and 1.
        level: Probability that the quantile is enclosed, at least.

    Returns:
        The two ranks, from 1 to n; 0 or n + 1 where no sample can be the bound.

    Source:
        P(x(l) <= quantile < x(u)) = P(l <= B < u), B binomial(n, p): David and Nagaraja (2003),
        Order Statistics, section 7.1. Terms beyond 12 standard deviations are below 1e-30 and left
        out, so that ten million samples cost no more than ten thousand.
    """
    reach = int(12 * math.sqrt(n * p * (1 - p))) + 40
    first, last = max(0, int(n * p) - reach), min(n, int(n * p) + reach)
    k = np.arange(first, last)
    steps = np.log((n - k) / (k + 1)) + math.log(p / (1 - p))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    below = _cumulate(logs - logs.max())
    below /= below[-1]
    tail = (1 - level) / 2
    low = first + int(np.searchsorted(below, tail, side="right"))
    high = first + int(np.searchsorted(below, 1 - tail)) + 1
    return low, high


def poisson_band(mean: float, *, level: float = 0.95) -> Band:
    """Say how many events to expect of a Poisson count.

    Args:
        mean: Expected number.
        level: Share of all repetitions that lie in the band, at least.

    Source:
        Central interval of the Poisson distribution: its quantiles at (1 -+ level)/2.
    """
    if mean <= 0:
        return Band(0.0, 0.0, 0.0)
    k = np.arange(1, int(mean + 12 * math.sqrt(mean)) + 30)
    below = _cumulate(np.concatenate([[0.0], np.cumsum(math.log(mean) - np.log(k))]) - mean)
    low, high = np.searchsorted(below, [(1 - level) / 2, (1 + level) / 2])
    return Band(mean, float(low), float(high))


def share_band(n: int, share: float, *, z: float = 1.96) -> Band:
    """Say which share of n random choices one of the chosen gets: share +- z standard errors.

    Source:
        Normal approximation of the binomial; kube-proxy's iptables mode chooses an endpoint at
        random for every new connection (Kubernetes, "Virtual IPs and Service Proxies").
    """
    margin = z * math.sqrt(share * (1 - share) / n) if n else math.nan
    return Band(share, share - margin, share + margin)


def wilson_band(successes: int, n: int, *, z: float = 1.96) -> Band:
    """Estimate a probability from n trials, with an interval that is honest near 0 and 1.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if n == 0:
        return Band(math.nan, math.nan, math.nan)
    share, scale = successes / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    margin = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and 1 the interval ends there exactly; rounding must not put the estimate outside.
    return Band(share, max(0.0, min(share, centre - margin)), min(1.0, max(share, centre + margin)))


def _cumulate(log_weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.cumsum(np.exp(log_weights)))
