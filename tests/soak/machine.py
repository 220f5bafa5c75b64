"""What the soak looks at below the API: processes, their memory, their handles, their limits."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab_utils.background import Background
from lab_utils.controlplane.config import NODE_MARK, RUN_MARK
from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.processes import marked

CORES, BYTES = "SOAK_CORES", "SOAK_BYTES"
"""Variables in which a container of the soak carries its limits, where the kernel shows them."""
_PERIOD_S = 1.0
_WINDOW_S = 5.0
_CPU_SLACK = 1.1
_CPU_BURST_S = 0.05  # a quota at each end of the window
_OVER_S = 3.0  # the kubelet looks at sizes from time to time


@dataclass(frozen=True)
class Footprint:
    """What a part of the cluster costs."""

    rss_mib: float
    handles: int


def footprints(run_id: str) -> dict[str, Footprint]:
    """Measure guard, control plane, every kubelet, and this process."""
    found = {"soak": _footprint(os.getpid())}
    for pid in marked(RUN_MARK, run_id):
        command = _command(pid)
        if len(command) > 2 and command[2].startswith("lab_utils.controlplane"):
            name = command[2].removeprefix("lab_utils.controlplane.")
            found[f"{name} {command[-1]}" if name == "kubelet" else name] = _footprint(pid)
    return found


def _footprint(pid: int) -> Footprint:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss_kib = int(re.findall(r"^Rss: +(\d+)", rollup, re.M)[0])
    return Footprint(rss_kib / 1024, len(os.listdir(f"/proc/{pid}/fd")))


def containers(run_id: str) -> list[int]:
    """List every process of a pod of the cluster."""
    own = "lab_utils.controlplane"
    return [
        pid
        for pid in marked(RUN_MARK, run_id)
        if not any(part.startswith(own) for part in _command(pid)) and proc.variable(pid, NODE_MARK)
    ]


def hostnames(run_id: str) -> set[str]:
    """Give the names of the pods of which there are processes."""
    return {proc.variable(pid, "HOSTNAME") for pid in containers(run_id)}


def kubelet_of(run_id: str, node: str) -> int | None:
    """Find the process of a node's kubelet."""
    for pid in marked(NODE_MARK, f"{run_id}/{node}"):
        if "lab_utils.controlplane.kubelet" in _command(pid):
            return pid
    return None


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except OSError:
        return []


class LimitWatch(Background):
    """Holds every container of the soak to the limits in its environment.

    Args:
        run_id: Of the cluster.

    Attributes:
        faults: What went over its limit, and by how much.
        most: By limit, the largest share of it that was seen in use.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__("limits", leave_s=10.0)
        self._run_id = run_id
        self._began: dict[int, tuple[float, int]] = {}
        self._over_since_s: dict[int, float] = {}
        self.faults: list[str] = []
        self.most = {CORES: 0.0, BYTES: 0.0}

    def _run(self) -> None:
        while not self._stopped.wait(_PERIOD_S):
            there = containers(self._run_id)
            self._forget(there)
            self.faults += [fault for pid in there for fault in self._look(pid, time.monotonic())]

    def _leave(self, *, late: bool) -> None:
        assert not late, "the watch over limits did not end"

    def _forget(self, there: Iterable[int]) -> None:
        for gone in self._began.keys() - set(there):
            del self._began[gone]
        for gone in self._over_since_s.keys() - set(there):
            del self._over_since_s[gone]

    def _look(self, pid: int, now_s: float) -> Iterator[str]:
        name = proc.variable(pid, "HOSTNAME")
        if cores := proc.variable(pid, CORES):
            yield from self._look_at_cpu(pid, name, float(cores), now_s)
        if limit := proc.variable(pid, BYTES):
            yield from self._look_at_memory(pid, name, int(limit), now_s)

    def _look_at_cpu(self, pid: int, name: str, cores: float, now_s: float) -> Iterator[str]:
        used_ns = proc.cpu_ns(pid)
        began_s, before_ns = self._began.setdefault(pid, (now_s, used_ns or 0))
        if used_ns is None or now_s - began_s < _WINDOW_S:
            return
        self._began[pid] = now_s, used_ns
        share = ((used_ns - before_ns) / 1e9 - _CPU_BURST_S) / ((now_s - began_s) * cores)
        self.most[CORES] = max(self.most[CORES], share)
        if share > _CPU_SLACK:
            yield f"{name} used {100 * share:.0f} % of its CPU limit in {now_s - began_s:.1f} s"

    def _look_at_memory(self, pid: int, name: str, limit: int, now_s: float) -> Iterator[str]:
        share = proc.memory_bytes(pid) / limit
        if share <= 1 or _is_frozen(pid):
            self.most[BYTES] = max(self.most[BYTES], min(share, 1.0))
            self._over_since_s.pop(pid, None)
        elif now_s - self._over_since_s.setdefault(pid, now_s) > _OVER_S:
            self._over_since_s[pid] = now_s
            yield f"{name} was at {100 * share:.0f} % of its memory limit for {_OVER_S:g} s"


def _is_frozen(pid: int) -> bool:
    """Tell whether a container's kubelet is stopped: it cannot act, nor can they grow."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(psutil.Process(pid).ppid()).status() == psutil.STATUS_STOPPED
    return True
