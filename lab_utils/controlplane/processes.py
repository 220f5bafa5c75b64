"""Start, mark and sweep local processes so that none outlives its cluster.

Two independent nets, both of Linux. Every child asks the kernel to be killed when its parent dies.
And every process of a cluster carries a mark in its environment that all its descendants inherit,
however they fork, so that whoever is left can find and kill them all.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; runs between fork and exec."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(
    module: str, *arguments: str, env: Mapping[str, str], log: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments` in a group of its own that dies with this process."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        process_group=0,
        preexec_fn=die_with_parent,
    )


def clean_environment(**marks: str) -> dict[str, str]:
    """Give what a process of the cluster may see of this one's environment, plus its marks."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | marks


def marked(name: str, value: str) -> Iterator[int]:
    """Yield the pids of this user's other processes with NAME=value in their environment."""
    wanted = f"{name}={value}".encode()
    for pid, environment in _environments():
        if pid != os.getpid() and wanted in environment:
            yield pid


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone, or another user's
            yield int(name), Path("/proc", name, "environ").read_bytes().split(b"\0")


def signal_marked(name: str, value: str, number: signal.Signals) -> int:
    """Signal every marked process until a look finds no new one; give how many there were."""
    done: set[int] = set()
    while fresh := set(marked(name, value)) - done:
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        done |= fresh
    return len(done)


def sweep(name: str, value: str, *, timeout_s: float = 5.0) -> int:
    """Kill every marked process and wait until all are gone; give how many there were."""
    count = signal_marked(name, value, signal.SIGKILL)
    wait_until(lambda: not any(marked(name, value)), timeout_s=timeout_s)
    return count


def wait_until(condition: Callable[[], bool], *, timeout_s: float, period_s: float = 0.02) -> bool:
    """Poll until the condition holds; False after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(period_s)
    return True


def birth_of(pid: int) -> int | None:
    """Give when a process started, which with its pid names it; None if it is gone or a zombie.

    Returns:
        Clock ticks since the machine booted: the same however the wall clock is set meanwhile.

    Source:
        Fields 3 (state) and 22 (starttime) of proc_pid_stat(5).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], int(fields[19])
    return None if state in "ZX" else ticks


def is_same(pid: int, birth: int) -> bool:
    """Tell whether this pid is still the process that started then, and not a later one."""
    return birth_of(pid) == birth


def arguments_of(argv: Sequence[str], *names: str) -> list[str]:
    """Read `--name value` pairs; the daemons take no others, and argparse costs each 2 MiB."""
    return [argv[argv.index(f"--{name}") + 1] for name in names]
