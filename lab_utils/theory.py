"""Predictions: formulas with their source, pure functions of numbers.

Times in seconds, rates per second, utilisation rho as a share. A prediction of something random is
a Band, so that a measurement can be inside or outside of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lab_utils.errors import InvalidInput

API_S = 0.1
"""What a change takes through the API server, at most (recorded on Kind: 0.03-0.08 s)."""
PROXY_SYNC_S = 1.0
"""kube-proxy syncs at most once in this time (its minSyncPeriod)."""
PLEG_RELIST_S = 1.0
"""A kubelet looks for dead containers this often (PLEG relist period)."""


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


def _cumulate(log_weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.cumsum(np.exp(log_weights)))


def cumulate_binomial(n: int, p: float) -> np.ndarray:
    """Give P(X <= k) for k = 0 .. n of a binomial variable, exactly.

    Source:
        The ratio of neighbouring terms, (n-k)/(k+1) * p/(1-p), summed as logarithms.
    """
    k = np.arange(n)
    ratios = np.log((n - k) / (k + 1)) + math.log(p / (1 - p))
    return _cumulate(np.concatenate([[0.0], np.cumsum(ratios)]) + n * math.log1p(-p))


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


def startup_s(cpu_s: float, limit_cores: float) -> float:
    """Predict how long a start takes that needs cpu_s of CPU under a limit below one core.

    Source:
        CFS bandwidth control (Linux kernel, sched-bwc): a limit of L cores gives L s of CPU a
        second.
    """
    return cpu_s / min(limit_cores, 1.0)


def lost_requests(rate_rps: float, share: float, window_s: float, *, level: float = 0.95) -> Band:
    """Predict how many requests an active-active failover loses.

    Args:
        rate_rps: Requests per second, all pods together.
        share: Share that the dead pod gets: 1/N of N ready pods.
        window_s: From the death until nothing is sent there any more.
        level: Of the band.

    Source:
        A Poisson stream thinned at random is a Poisson stream of rate * share.
    """
    return poisson_band(rate_rps * share * window_s, level=level)


def probe_detection_s(period_s: float, failure_threshold: int, timeout_s: float) -> Band:
    """Predict how long a hang stays unnoticed by a probe: [(F-1) T + tau, F T + tau].

    Args:
        period_s: periodSeconds, T.
        failure_threshold: failureThreshold, F.
        timeout_s: timeoutSeconds, tau.

    Source:
        Ours from the fields' definitions: the hang falls evenly within a period T, then F probes
        in a row must fail, the last after its time-out.
    """
    first = (failure_threshold - 1) * period_s + timeout_s
    return Band(first + period_s / 2, first, first + period_s)


def kill_window_s() -> Band:
    """Predict for how long a Service still sends requests to a container after its kill -9.

    Source:
        Ours: the kubelet notices a death at its next look (up to PLEG_RELIST_S), the news takes up
        to API_S, and kube-proxy applies a first change at once but a second one only
        PROXY_SYNC_S later. Recorded on Kind: 0.33-1.17 s in five kills.
    """
    return Band(PLEG_RELIST_S / 2 + API_S, 0.0, PLEG_RELIST_S + API_S + PROXY_SYNC_S)


def selector_switch_s(detect: Band) -> Band:
    """Predict the outage when a switch of the Service's selector moves all load to the backup.

    Args:
        detect: How long the death stays unnoticed by whoever switches.

    Source:
        Ours: detection, then one call of the API, then kube-proxy's next sync.
    """
    return detect + Band(API_S / 2, 0.0, API_S) + Band(PROXY_SYNC_S / 2, 0.0, PROXY_SYNC_S)


def client_failover_s(timeout_s: float, service_s: float) -> float:
    """Predict the worst latency of a client that asks the backup when the primary is silent.

    Source:
        Ours: one time-out, then one service.
    """
    return timeout_s + service_s


def little(rate_rps: float, response_s: float) -> float:
    """Give the mean number of requests in a system: L = lambda W.

    Source:
        Little (1961), A proof for the queuing formula L = lambda W.
    """
    return rate_rps * response_s


def erlang_c(servers: int, offered: float) -> float:
    """Give the probability that a request must wait in M/M/c.

    Args:
        servers: c.
        offered: Load in Erlang, lambda S; must be below c.

    Raises:
        InvalidInput: The queue would grow for ever.

    Source:
        Erlang (1917); computed from the recursion of Erlang B, which does not overflow.
    """
    if not 0 <= offered < servers:
        raise InvalidInput(
            f"offered is {offered:g} Erlang for {servers} servers: want 0 up to below {servers}, "
            "or the queue grows for ever. Lower the rate or add servers"
        )
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    rho = offered / servers
    return blocked / (1 - rho * (1 - blocked))


def mmc_response_s(rho: float, service_s: float, servers: int = 1) -> float:
    """Predict the mean time from arrival to answer in M/M/c; M/M/1 is S / (1 - rho).

    Source:
        Kleinrock (1975), Queueing Systems I, section 3.5.
    """
    waiting = erlang_c(servers, rho * servers)
    return service_s * (1 + waiting / (servers * (1 - rho)))


def mmc_quantile_s(q: float, rho: float, service_s: float, servers: int = 1) -> float:
    """Predict a quantile of the time from arrival to answer in M/M/c.

    Args:
        q: 0.99 for the p99.
        rho: Utilisation, below 1.
        service_s: Mean service time.
        servers: c.

    Source:
        Waiting time is 0 with probability 1 - C, else exponential with rate c mu (1 - rho); the
        sum with an independent exponential service (Kleinrock 1975) is inverted numerically.
    """
    waiting, drain = erlang_c(servers, rho * servers), servers * (1 - rho)

    def exceeds(t: float) -> float:  # t in service times
        if math.isclose(drain, 1.0):
            return math.exp(-t) * (1 + waiting * t)
        after_wait = (math.exp(-drain * t) - drain * math.exp(-t)) / (1 - drain)
        return (1 - waiting) * math.exp(-t) + waiting * after_wait

    return service_s * _solve(exceeds, 1 - q)


def _solve(falling: Callable[[float], float], target: float) -> float:
    """Find where a falling function of t >= 0 has a value, by bisection."""
    low, high = 0.0, 1.0
    while falling(high) > target:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > target else (low, middle)
    return high
