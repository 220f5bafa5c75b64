"""Closed loops, what they hide, and how throughput scales."""

import math

from lab_utils.errors import InvalidInput


def closed_loop_rps(users: int, service_s: float, think_s: float = 0.0, servers: int = 1) -> float:
    """Bound the throughput of N users who wait for their answers: min(N / (S + Z), c / S).

    Args:
        users: N.
        service_s: S.
        think_s: Z, the pause between an answer and the next request.
        servers: c.

    Source:
        Denning and Buzen (1978), The operational analysis of queueing network models.
    """
    return min(users / (service_s + think_s), servers / service_s)


def closed_loop_knee(service_s: float, think_s: float = 0.0, servers: int = 1) -> float:
    """Give the number of users from which more of them only wait: N* = (S + Z) c / S.

    Source:
        Where the two bounds of closed_loop_rps() meet.
    """
    return (service_s + think_s) * servers / service_s


def stalled_quantile_s(q: float, duration_s: float, stalled_s: float, service_s: float) -> float:
    """Predict a percentile seen by open-loop users of a server that stands still once.

    A closed-loop user notices one slow request; everybody who came during the stall has waited
    for the rest of it (coordinated omission).

    Args:
        q: 0.99 for the p99.
        duration_s: Of the run.
        stalled_s: D, within the run.
        service_s: Of a request, when the server runs.

    Source:
        Ours: requests that come evenly during the stall wait D down to 0, so a share x of all
        requests waits longer than D - x * duration. Tene, "How NOT to Measure Latency".
    """
    return max(0.0, stalled_s - (1 - q) * duration_s) + service_s


def usl_rps(n: float, one_rps: float, alpha: float, beta: float) -> float:
    """Give the throughput of n users or servers by the universal scalability law.

    Args:
        n: Users or servers.
        one_rps: Throughput of one.
        alpha: Contention: the share that only one can do at a time.
        beta: Coherence: the cost of every pair that has to agree.

    Source:
        Gunther (2007), Guerrilla Capacity Planning: X = n X(1) / (1 + alpha (n-1) + beta n (n-1)).
    """
    return n * one_rps / (1 + alpha * (n - 1) + beta * n * (n - 1))


def usl_peak(alpha: float, beta: float) -> float:
    """Give the n beyond which the universal scalability law falls: sqrt((1 - alpha) / beta).

    Source:
        Gunther (2007): where the derivative of usl_rps() is 0.
    """
    if alpha < 0 or beta < 0:
        raise InvalidInput(f"alpha is {alpha:g}, beta is {beta:g}: want neither below 0")
    return math.sqrt((1 - alpha) / beta) if beta else math.inf
