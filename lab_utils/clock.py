"""The one clock of a run: seconds since its start, monotonic, anchored to wall time.

Every process of the machine reads the same `time.perf_counter_ns` (Python documents it as
system-wide), so the load generator, the faults and the sampler need no agreement but the start.
Wall time is used only to place what others have stamped (Kubernetes Events), never for durations.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Clock:
    """Where 0 s of a run is, on the monotonic clock and on the wall clock."""

    start_ns: int
    start_unix_s: float

    @classmethod
    def starting_in(cls, delay_s: float) -> "Clock":
        """Make a clock that reads 0 in delay_s seconds from now."""
        start_ns = time.perf_counter_ns() + round(delay_s * 1e9)
        return cls(start_ns, time.time() + delay_s)

    @property
    def started_at(self) -> datetime:
        """Wall time of 0 s, in UTC."""
        return datetime.fromtimestamp(self.start_unix_s, UTC)

    def now_s(self) -> float:
        """Read the clock."""
        return self.at_s(time.perf_counter_ns())

    def at_s(self, perf_ns: int) -> float:
        """Convert a reading of `time.perf_counter_ns`."""
        return (perf_ns - self.start_ns) / 1e9

    def at_ns(self, t_s: float) -> int:
        """Give the reading of `time.perf_counter_ns` at t_s."""
        return self.start_ns + round(t_s * 1e9)

    def of_wall(self, moment: datetime) -> float:
        """Convert a moment of wall time (with its time zone)."""
        return (moment - self.started_at) / timedelta(seconds=1)
