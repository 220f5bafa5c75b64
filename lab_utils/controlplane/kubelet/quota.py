"""The CPU limit as arithmetic: so much CPU time per period of 100 ms, then wait for the next one.

Knows neither clocks nor processes: it is told the time and the CPU time used, and answers whether
the container must wait. Source: https://docs.kernel.org/scheduler/sched-bwc.html
"""

import math
from dataclasses import dataclass

PERIOD_NS = 100_000_000
_SOONEST_NS = 300_000  # a look costs some 20 us: closer ones would be what they measure
_NOISE_CORES = 0.25


@dataclass
class CpuStat:
    """What cpu.stat counts, as the kernel counts it."""

    nr_periods: int = 0
    nr_throttled: int = 0
    throttled_ns: int = 0


class Quota:
    """The account of one container: refilled each period, never saved up, overdraft carried on.

    A process is seen to be over its quota only after it is. What it took too much is a debt that
    the next periods pay, so the long-run share is exact however late a look comes.
    """

    def __init__(self, cores: float, now_ns: int, usage_ns: int = 0) -> None:
        self.quota_ns = int(cores * PERIOD_NS)
        self.stat = CpuStat()
        self.throttled = False
        self._left_ns = self.quota_ns
        self._period_end_ns = now_ns + PERIOD_NS
        self._seen_ns, self._usage_ns = now_ns, usage_ns
        self._throttled_at_ns = 0
        self._ran = False
        self._cores = 1.0

    def charge(self, now_ns: int, usage_ns: int) -> bool:
        """Account for the CPU time used until now; True while the container must not run."""
        used = usage_ns - self._usage_ns
        elapsed = max(now_ns - self._seen_ns, 1)
        self._cores = max(1.0, math.ceil(used / elapsed - _NOISE_CORES))
        self._seen_ns, self._usage_ns = now_ns, usage_ns
        if now_ns >= self._period_end_ns:
            fresh = min(used, int((now_ns - self._period_end_ns) * self._cores))
            self._spend(used - fresh)
            self._refill(now_ns)
            used = fresh
        self._spend(used)
        self._throttle_or_not(now_ns)
        return self.throttled

    def next_look_ns(self) -> int:
        """Tell when the quota could be used up, or the wait be over, at the earliest."""
        if self.throttled:
            return self._period_end_ns
        return self._seen_ns + max(int(self._left_ns / self._cores), _SOONEST_NS)

    def _spend(self, used_ns: int) -> None:
        self._left_ns -= used_ns
        self._ran = self._ran or used_ns > 0

    def _refill(self, now_ns: int) -> None:
        """End one period, or several after a pause of this machine; idle ones are not counted."""
        periods = 1 + (now_ns - self._period_end_ns) // PERIOD_NS
        self._period_end_ns += periods * PERIOD_NS
        self._left_ns = min(self.quota_ns, self._left_ns + periods * self.quota_ns)
        if self._ran or self.throttled:
            self.stat.nr_periods += 1
            self.stat.nr_throttled += self.throttled
        self._ran = False

    def _throttle_or_not(self, now_ns: int) -> None:
        over = self._left_ns <= 0
        if over and not self.throttled:
            self._throttled_at_ns = now_ns
        elif self.throttled and not over:
            self.stat.throttled_ns += now_ns - self._throttled_at_ns
        self.throttled = over
