"""Overload, batching and scaling: where more work makes less come out, and what adds capacity."""

import math

from lab_utils.errors import InvalidInput


def amplification(failing: float, attempts: int) -> float:
    """Predict how many attempts a request makes on average: (1 - p^r) / (1 - p).

    Args:
        failing: p, probability that an attempt fails, independent of the others.
        attempts: r, at most.

    Source:
        Geometric series: attempt k + 1 is made if the first k have failed.
    """
    if not 0 <= failing <= 1:
        raise InvalidInput(f"failing is {failing!r}: want a probability from 0 to 1")
    return math.fsum(failing**k for k in range(attempts))


def is_stuck(rho: float, amplified: float) -> bool:
    """Tell whether retries keep a server overloaded after the cause is gone: r rho >= 1.

    Args:
        rho: Utilisation by the first attempts alone.
        amplified: Attempts per request while everything fails: the number of attempts r, or
            1 + budget with a retry budget.

    Source:
        Bronson et al. (2021), Metastable failures in distributed systems.
    """
    return amplified * rho >= 1


def batch_s(size: float, fixed_s: float, per_item_s: float) -> float:
    """Give the time of a batch of b requests: T(b) = a + m b.

    Source:
        The worker's own model of an accelerator: a start-up cost and a cost per item.
    """
    return fixed_s + per_item_s * size


def batch_rps(size: float, fixed_s: float, per_item_s: float) -> float:
    """Give the throughput of full batches: X(b) = b / (a + m b).

    Source:
        Renewal argument: b requests every T(b). Load is stable only below X of the largest batch.
    """
    return size / batch_s(size, fixed_s, per_item_s)


def hpa_replicas(
    replicas: int, utilisation: float, target: float, *, tolerance: float = 0.1
) -> int:
    """Give the number of replicas that a HorizontalPodAutoscaler wants: ceil(n util / target).

    Args:
        replicas: n, now.
        utilisation: CPU used over CPU *requested*, mean of the pods: 2.0 is 200 %.
        target: The same unit.
        tolerance: Ratios this near to 1 change nothing.

    Source:
        Kubernetes, "Horizontal Pod Autoscaling", algorithm details.
    """
    ratio = utilisation / target
    if abs(ratio - 1) <= tolerance:
        return replicas
    return math.ceil(replicas * ratio - 1e-9)


def hpa_steps(
    demand_cores: float, *, request_cores: float, limit_cores: float, target: float, most: int
) -> list[int]:
    """Predict the numbers of replicas that an autoscaler goes through under a constant demand.

    Pods cannot show more than their limit, so a demand far above it is seen only in part: 100m at
    a request of 50m is 200 %, whatever waits.

    Args:
        demand_cores: CPU that the load needs in all.
        request_cores: CPU request of a pod.
        limit_cores: CPU limit of a pod.
        target: Target utilisation of the request: 0.5 is 50 %.
        most: maxReplicas.

    Returns:
        The numbers of replicas from 1 on, one per decision, until it rests.

    Source:
        hpa_replicas(), and the default scale-up policy: per 15 s at most twice as many or 4 more,
        whichever is more (Kubernetes, "Horizontal Pod Autoscaling", default behavior).
    """
    steps = [1]
    while True:
        now = steps[-1]
        used_cores = min(demand_cores / now, limit_cores)
        wanted = hpa_replicas(now, used_cores / request_cores, target)
        wanted = max(1, min(wanted, most, max(2 * now, now + 4)))
        if wanted in steps:
            return steps
        steps.append(wanted)
