"""A control group without the kernel's help: the processes of one container and their accounts.

Follows a container's processes however they fork, adds up what they use, stops and continues them
as one, and keeps the cpu.stat and memory.current that a real cgroup v2 has. Never decides: the
limiter does.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.quota import CpuStat, Quota

KERNEL_BYTES = 1_500_000  # stacks, slab and socket buffers of one container, measured on Kind
MARK = "LAB_CONTAINER"
"""Environment variable with the container's id, by which its strays are known."""


@dataclass(frozen=True)
class Limits:
    """resources.limits of a container; None means as much as there is."""

    cores: float | None = None
    memory_bytes: int | None = None


class Cgroup:
    """All processes of one container."""

    def __init__(self, mark: str, leader: int, limits: Limits, folder: Path, now_ns: int) -> None:
        self.mark, self.leader, self.limits = mark, leader, limits
        unlimited = limits.cores is None or limits.cores >= (os.cpu_count() or 1)
        self.quota = None if unlimited else Quota(limits.cores or 0.0, now_ns)
        self.memory_bytes = self.peak_bytes = 0
        self.oom_killed = self.held = False
        self._folder = folder
        self._cpu_ns: dict[int, int] = {leader: 0}
        self._ended_cpu_ns = 0
        self._published: dict[str, str] = {}

    @property
    def stat(self) -> CpuStat:
        """Give the counters of the CPU limit; all zero without one."""
        return self.quota.stat if self.quota else CpuStat()

    @property
    def throttled(self) -> bool:
        """Tell whether the quota is used up."""
        return self.quota is not None and self.quota.throttled

    @property
    def processes(self) -> int:
        """Count the processes seen at the last scan."""
        return len(self._cpu_ns)

    @property
    def total_ns(self) -> int:
        """Give the CPU time used until the last look."""
        return self._ended_cpu_ns + sum(self._cpu_ns.copy().values())

    def usage_ns(self) -> int:
        """Read the CPU time used so far by all processes, also those that ended."""
        for pid in list(self._cpu_ns):
            used = proc.cpu_ns(pid)
            if used is None:
                self._ended_cpu_ns += self._cpu_ns.pop(pid)
            else:
                self._cpu_ns[pid] = used
        return self._ended_cpu_ns + sum(self._cpu_ns.values())

    def scan(self, strays: Iterable[int] = ()) -> None:
        """Look for new processes below the leader and the strays; measure the memory of all."""
        roots = {*strays, *({self.leader} & self._cpu_ns.keys())}
        found = set().union(*map(proc.descendants, roots))
        for pid in found - self._cpu_ns.keys():
            if (used := proc.cpu_ns(pid)) is not None:
                self._cpu_ns[pid] = used
                if self.throttled:
                    _send(os.kill, pid, signal.SIGSTOP)
        resident = sum(map(proc.memory_bytes, self._cpu_ns))
        self.memory_bytes = resident + KERNEL_BYTES if resident else 0
        self.peak_bytes = max(self.peak_bytes, self.memory_bytes)

    def send(self, number: signal.Signals) -> None:
        """Signal every process of the container."""
        _send(os.killpg, self.leader, number)  # a group keeps its id while it has members
        for pid in self._cpu_ns.keys() - {self.leader}:
            _send(os.kill, pid, number)

    def publish(self) -> None:
        """Write cpu.stat and memory.current; on a full disk the old ones stay."""
        used_us = self.usage_ns() // 1000
        user_us = int(used_us * proc.user_share(self.leader))
        counters = {
            "usage_usec": used_us,
            "user_usec": user_us,
            "system_usec": used_us - user_us,
            "nr_periods": self.stat.nr_periods,
            "nr_throttled": self.stat.nr_throttled,
            "throttled_usec": self.stat.throttled_ns // 1000,
        }
        self._write("cpu.stat", "".join(f"{name} {value}\n" for name, value in counters.items()))
        self._write("memory.current", f"{self.memory_bytes}\n")

    def _write(self, name: str, text: str) -> None:
        if text != self._published.get(name):
            with contextlib.suppress(OSError):
                partial = self._folder / f".{name}"
                partial.write_text(text)
                partial.replace(self._folder / name)
                self._published[name] = text


def _send(kill: Callable[[int, int], None], pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        kill(pid, number)
