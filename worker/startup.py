"""What this process took to start: time and CPU time from its first instant on.

Hides where the kernel keeps the instant at which a process began. Never guesses: where it cannot be
read there is no answer.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/self/stat")
_START_FIELD = 22  # proc(5), counted from 1; the name of field 2 may hold spaces


@dataclass(frozen=True)
class Startup:
    """Seconds, and seconds of CPU, from the start of the process until now."""

    wall_s: float
    cpu_s: float


def measure() -> Startup | None:
    """Measure what has passed since this process began; None where there is no /proc."""
    try:
        after_name = _STAT.read_text().rpartition(")")[2].split()
    except OSError:
        return None
    began_s = int(after_name[_START_FIELD - 3]) / os.sysconf("SC_CLK_TCK")
    return Startup(time.clock_gettime(time.CLOCK_BOOTTIME) - began_s, time.process_time())
