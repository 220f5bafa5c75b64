"""Control groups of the kernel: where a user may make some, its limits take the place of the lab's.

That takes cgroup v2 with the cpu and memory controllers in a folder that this user may write to, as
systemd delegates one to each session. Whether it really works is tried out once before it is relied
upon. Where it does not, the limiter enforces the limits. Sources:
https://docs.kernel.org/admin-guide/cgroup-v2.html and https://systemd.io/CGROUP_DELEGATION/
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab_utils.controlplane.kubelet.cgroup import Cgroup, Limits
from lab_utils.controlplane.kubelet.quota import PERIOD_NS, CpuStat

_NEEDED = {"cpu", "memory"}
_ENABLE = "+cpu +memory"
_MICROSECONDS = 1000


class KernelCgroup(Cgroup):
    """A container's control group: the kernel limits and counts, this reads what it says."""

    def __init__(self, mark: str, leader: int, limits: Limits, group: Path, now_ns: int) -> None:
        super().__init__(mark, leader, limits, group, now_ns)
        self.quota, self._group = None, group

    @property
    def stat(self) -> CpuStat:
        """Read the counters of the CPU limit."""
        counted = _counters(self._group / "cpu.stat")
        throttled_ns = counted.get("throttled_usec", 0) * _MICROSECONDS
        return CpuStat(counted.get("nr_periods", 0), counted.get("nr_throttled", 0), throttled_ns)

    @property
    def total_ns(self) -> int:
        """Read the CPU time used so far."""
        return _counters(self._group / "cpu.stat").get("usage_usec", 0) * _MICROSECONDS

    def usage_ns(self) -> int:
        """Read the CPU time used so far, and whether the kernel killed for want of memory."""
        super().usage_ns()
        killed = _counters(self._group / "memory.events").get("oom_kill", 0)
        self.oom_killed = self.oom_killed or killed > 0
        return self.total_ns

    def scan(self, strays: Iterable[int] = ()) -> None:
        """Look for new processes, and read the working set as a kubelet does."""
        peak_bytes = self.peak_bytes
        super().scan(strays)
        inactive = _counters(self._group / "memory.stat").get("inactive_file", 0)
        self.memory_bytes = max(_number(self._group / "memory.current") - inactive, 0)
        self.peak_bytes = max(peak_bytes, self.memory_bytes)

    def publish(self) -> None:
        """Do nothing: the kernel's own files are what the container reads."""


def make_group(tree: Path, name: str, limits: Limits) -> Path:
    """Make the control group of one container, with its limits.

    Raises:
        OSError: The kernel refuses.
    """
    group = tree / name
    group.mkdir()
    if limits.cores is not None:
        quota_us = int(limits.cores * PERIOD_NS) // _MICROSECONDS
        (group / "cpu.max").write_text(f"{quota_us} {PERIOD_NS // _MICROSECONDS}")
    if limits.memory_bytes is not None:
        (group / "memory.max").write_text(str(limits.memory_bytes))
        (group / "memory.oom.group").write_text("1")
        with contextlib.suppress(OSError):  # there is no such file where there is no swap
            (group / "memory.swap.max").write_text("0")
    return group


def enter(group: Path) -> None:
    """Put this process into a control group."""
    (group / "cgroup.procs").write_text("0")


def remove_empty(tree: Path) -> None:
    """Remove the control groups of containers that are gone."""
    with contextlib.suppress(OSError):
        for group in [path for path in tree.iterdir() if path.is_dir()]:
            with contextlib.suppress(OSError):  # somebody is still in it
                group.rmdir()


def find_tree(name: str) -> Path | None:
    """Make a control group of this name that can hold those of containers; None if that fails."""
    for parent in _delegated():
        tree = parent / name
        try:
            _enable(parent)
            tree.mkdir(exist_ok=True)
            _enable(tree)
            _try_out(tree)
        except (OSError, subprocess.SubprocessError):
            remove_empty(tree)
            with contextlib.suppress(OSError):
                tree.rmdir()
            continue
        return tree
    return None


def _delegated() -> Iterator[Path]:
    """Give the folders from this process's control group up that have all it takes."""
    own, mount = _own_path(), _mount()
    if own is None or mount is None:
        return
    folder = mount / own.lstrip("/")
    for parent in (folder, *folder.parents):
        if not parent.is_relative_to(mount):
            return
        with contextlib.suppress(OSError):
            there = set((parent / "cgroup.controllers").read_text().split())
            files = (parent, parent / "cgroup.procs", parent / "cgroup.subtree_control")
            if there >= _NEEDED and all(os.access(path, os.W_OK) for path in files):
                yield parent


def _own_path() -> str | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line[3:]
    return None


def _mount() -> Path | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, more = line.partition(" - ")
            if more.split()[0] == "cgroup2":
                return Path(fields.split()[4])
    return None


def _enable(folder: Path) -> None:
    """Let the children of a control group have limits; refused while processes are in it."""
    control = folder / "cgroup.subtree_control"
    if not set(control.read_text().split()) >= _NEEDED:
        control.write_text(_ENABLE)


def _try_out(tree: Path) -> None:
    """Run a process under both limits and see that the kernel has counted it."""
    group = make_group(tree, "trial", Limits(cores=0.5, memory_bytes=256 << 20))
    try:
        subprocess.run(
            [sys.executable, "-c", ""], preexec_fn=lambda: enter(group), check=True, timeout=10
        )
        if not _counters(group / "cpu.stat").get("usage_usec"):
            raise OSError("the kernel does not count the processes of its group")
    finally:
        group.rmdir()


def _counters(path: Path) -> dict[str, int]:
    """Read a file of `name value` lines; nothing if it has gone."""
    with contextlib.suppress(OSError):
        pairs = (line.split() for line in path.read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
    return {}


def _number(path: Path) -> int:
    with contextlib.suppress(OSError):
        return int(path.read_text())
    return 0
