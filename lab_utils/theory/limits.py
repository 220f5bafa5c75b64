"""What CPU and memory limits do: throttling, start-up, OOM kills and their back-off."""

import itertools
import math

from lab_utils.errors import InvalidInput
from lab_utils.theory.bands import Band

CFS_PERIOD_S = 0.1
"""Period of the kernel's CFS bandwidth control (kubelet's --cpu-cfs-quota-period)."""
BACKOFF_FIRST_S = 10.0
BACKOFF_MOST_S = 300.0


def startup_s(cpu_s: float, limit_cores: float) -> float:
    """Predict how long a start takes that needs cpu_s of CPU under a limit below one core.

    Source:
        CFS bandwidth control (Linux kernel, sched-bwc): a limit of L cores gives L s of CPU a
        second.
    """
    _require_limit(limit_cores)
    return cpu_s / min(limit_cores, 1.0)


def throttled_latency_s(work_s: float, limit_cores: float) -> Band:
    """Predict how long work takes that needs work_s of CPU under a limit, alone in its pod.

    Work that fits into the quota Q of one period runs through or waits once, as it falls; beyond
    that the pod stands still n = ceil(w/Q) - 1 times until a period ends. So the latency climbs in
    steps of the period.

    Args:
        work_s: w, CPU time of the request.
        limit_cores: CPU limit; from 1 on, one thread is never throttled.

    Returns:
        Mean and bounds: [(n - 1) P + r, n P + r] with r = w - n Q, the mean half-way; w itself
        where n is 0.

    Source:
        CFS bandwidth control (Linux kernel, sched-bwc), a request that begins anywhere in a
        period of P.
    """
    _require_limit(limit_cores)
    quota_s = limit_cores * CFS_PERIOD_S
    # The tolerance keeps 30 ms of work at 10 ms a period from counting as more than 3 quotas.
    waits = 0 if limit_cores >= 1 else max(0, math.ceil(work_s / quota_s - 1e-9) - 1)
    if waits == 0:
        return Band(work_s, work_s, work_s)
    rest_s = work_s - waits * quota_s
    longest_s = waits * CFS_PERIOD_S + rest_s
    return Band(longest_s - CFS_PERIOD_S / 2, longest_s - CFS_PERIOD_S, longest_s)


def throttled_rps(work_s: float, limit_cores: float) -> float:
    """Give the most requests a second that a limit allows: limit / w.

    Source:
        CFS bandwidth control: L cores are L s of CPU a second.
    """
    _require_limit(limit_cores)
    return limit_cores / work_s


def fatal_ballast_bytes(base_bytes: float, limit_bytes: float) -> float:
    """Predict how much more memory than its base a container takes before it is OOMKilled.

    Source:
        Linux memory cgroups: killed (exit code 137) when base + ballast > limit.
    """
    return max(0.0, limit_bytes - base_bytes)


def backoff_s(restarts: int) -> list[float]:
    """Give the waits before the first restarts of a container that keeps dying: 0, 10, 20, 40 ...

    Args:
        restarts: How many.

    Returns:
        Seconds before each; at most 300. Ten minutes of good running reset it.

    Source:
        Kubernetes, "Pod Lifecycle", container restarts; the first restart is immediate.
    """
    doubling = (min(BACKOFF_FIRST_S * 2**k, BACKOFF_MOST_S) for k in itertools.count())
    return list(itertools.islice(itertools.chain([0.0], doubling), restarts))


def _require_limit(limit_cores: float) -> None:
    if not limit_cores > 0:
        raise InvalidInput(f"limit_cores is {limit_cores!r}: want cores above 0, such as 0.1")
