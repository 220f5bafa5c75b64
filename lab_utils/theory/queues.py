"""Queues: how long requests take when others are before them.

Times in seconds, rates per second. Kendall's notation: arrivals / service / servers / places.
"""

import math
from collections.abc import Callable

from lab_utils.errors import InvalidInput


def little(rate_rps: float, response_s: float) -> float:
    """Give the mean number of requests in a system: L = lambda W.

    Source:
        Little (1961), A proof for the queuing formula L = lambda W.
    """
    return rate_rps * response_s


def erlang_b(servers: int, offered: float) -> float:
    """Give the probability that a request is refused by c servers without a queue (M/G/c/c).

    Args:
        servers: c.
        offered: Load in Erlang, lambda S.

    Source:
        Erlang (1917), by the recursion B(c) = a B(c-1) / (c + a B(c-1)), which does not overflow.
    """
    if servers < 0 or offered < 0:
        raise InvalidInput(f"servers is {servers}, offered is {offered:g}: want neither below 0")
    refused = 1.0
    for k in range(1, servers + 1):
        refused = offered * refused / (k + offered * refused)
    return refused


def erlang_c(servers: int, offered: float) -> float:
    """Give the probability that a request must wait in M/M/c.

    Args:
        servers: c.
        offered: Load in Erlang, lambda S; must be below c.

    Raises:
        InvalidInput: The queue would grow for ever.

    Source:
        Erlang (1917), from Erlang B: C = B / (1 - rho (1 - B)).
    """
    if not 0 <= offered < servers:
        raise InvalidInput(
            f"offered is {offered:g} Erlang for {servers} servers: want 0 up to below {servers}, "
            "or the queue grows for ever. Lower the rate or add servers"
        )
    refused = erlang_b(servers, offered)
    return refused / (1 - offered / servers * (1 - refused))


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

    return service_s * solve_falling(exceeds, 1 - q)


def mg1_response_s(rho: float, service_s: float, cv: float) -> float:
    """Predict the mean time from arrival to answer of one server with any service times (M/G/1).

    Args:
        rho: Utilisation, below 1.
        service_s: Mean service time.
        cv: Standard deviation of the service time over its mean: 0 constant (M/D/1), 1 exponential.

    Raises:
        InvalidInput: The queue would grow for ever.

    Source:
        Pollaczek (1930) and Khinchine (1932): Wq = rho S (1 + cv^2) / (2 (1 - rho)).
    """
    _require_stable(rho)
    return service_s + rho * service_s * (1 + cv * cv) / (2 * (1 - rho))


def round_robin_response_s(rho: float, service_s: float, workers: int) -> float:
    """Predict the mean response when requests go round N single-server workers in turn.

    Each worker then sees every N-th arrival of a Poisson stream, which is smoother than a Poisson
    stream of its own: E_N/M/1.

    Args:
        rho: Utilisation of a worker, below 1.
        service_s: Mean of the exponential service time.
        workers: N; 1 is M/M/1.

    Source:
        GI/M/1 (Kleinrock 1975, section 6.4): W = S / (1 - s), where s solves s = A*(mu - mu s) and
        A* is the Laplace transform of the gaps, here Erlang-N.
    """
    _require_stable(rho)
    low, high = 0.0, 1.0 - 1e-12
    for _ in range(200):  # below the root the right side is larger than s
        s = (low + high) / 2
        gap = (workers * rho / (workers * rho + 1 - s)) ** workers
        low, high = (s, high) if gap > s else (low, s)
    return service_s / (1 - low)


def refused_share(rho: float, servers: int, places: int) -> float:
    """Predict the share of requests that a finite queue refuses (M/M/c/c+K); any rho.

    Args:
        rho: lambda S / c; may be above 1.
        servers: c.
        places: K, how many may wait.

    Source:
        Birth and death process (Kleinrock 1975, section 3.6): an arrival is refused if c + K are
        inside. Far above rho = 1 this is 1 - 1/rho, whatever the queue.
    """
    return _occupancy(rho, servers, places)[-1]


def mmck_response_s(rho: float, service_s: float, servers: int, places: int) -> float:
    """Predict the mean time from arrival to answer of the requests that M/M/c/c+K takes in.

    Source:
        Little's law over the accepted requests of the same birth and death process.
    """
    chances = _occupancy(rho, servers, places)
    inside = sum(n * chance for n, chance in enumerate(chances))
    if inside == 0:
        return service_s
    return inside * service_s / (rho * servers * (1 - chances[-1]))


def _occupancy(rho: float, servers: int, places: int) -> list[float]:
    """Give P(n inside) for n = 0 .. c + K."""
    if rho < 0 or servers < 1 or places < 0:
        raise InvalidInput(
            f"rho is {rho:g}, servers {servers}, places {places}: want rho and places from 0 on, "
            "servers from 1 on"
        )
    weights = [1.0]
    for n in range(1, servers + places + 1):
        weights.append(weights[-1] * rho * servers / min(n, servers))
        if weights[-1] > 1e200:
            weights = [weight / 1e200 for weight in weights]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def queue_full_s(places: int, rate_rps: float, capacity_rps: float) -> float:
    """Predict after which time an overloaded queue is full: K / (lambda - c mu).

    Args:
        places: K, how many may wait.
        rate_rps: Arrivals, lambda.
        capacity_rps: What all servers together finish, c mu.

    Returns:
        Seconds; infinity below capacity.

    Source:
        Fluid limit: what comes in above the capacity piles up.
    """
    return places / (rate_rps - capacity_rps) if rate_rps > capacity_rps else math.inf


def drain_s(rate_rps: float, capacity_rps: float, stalled_s: float) -> float:
    """Predict how long the backlog of a stall takes to drain: lambda D / (mu - lambda).

    Args:
        rate_rps: Arrivals, lambda, during the stall and after it.
        capacity_rps: What the servers finish, mu.
        stalled_s: D.

    Returns:
        Seconds from the end of the stall; infinity if lambda is not below mu.

    Source:
        Fluid limit.
    """
    if rate_rps >= capacity_rps:
        return math.inf
    return rate_rps * stalled_s / (capacity_rps - rate_rps)


def solve_falling(falling: Callable[[float], float], target: float) -> float:
    """Find where a falling function of t >= 0 comes down to a value, by bisection.

    Args:
        falling: From 1 at 0 towards 0; may have steps.
        target: Above 0.
    """
    low, high = 0.0, 1.0
    while falling(high) > target:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > target else (low, middle)
    return high


def _require_stable(rho: float) -> None:
    if not 0 <= rho < 1:
        raise InvalidInput(
            f"rho is {rho:g}: want 0 up to below 1, or the queue grows for ever. Lower the rate or "
            "add servers"
        )
