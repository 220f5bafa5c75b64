"""Enforces the CPU and memory limits of all containers of a node, in one thread.

CPU: whoever has used up the quota of a period is stopped (SIGSTOP) until the next one. The thread
sleeps until the first container could have used up its quota, so a look is never early and seldom
late. Memory: measured four times a second, more often close to the limit; over it, all processes
of the container are killed, as the kernel does for a container (memory.oom.group).
"""

import os
import signal
import subprocess
import threading
import time
from collections import defaultdict

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.cgroup import MARK, Cgroup
from lab_utils.controlplane.processes import signal_marked

_SCAN_NS = 250_000_000
_CLOSE_SCAN_NS = 50_000_000
_CLOSE_TO_LIMIT = 0.8
_PUBLISH_NS = 1_000_000_000
_LONGEST_SLEEP_S = 0.05  # until a new container is seen beside others


class Limiter(threading.Thread):
    """Looks at every cgroup it was given until it is taken away."""

    def __init__(self) -> None:
        super().__init__(name="limiter", daemon=True)
        self._cgroups: dict[str, Cgroup] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._ending = False
        self._scan_at_ns = self._publish_at_ns = 0

    def add(self, cgroup: Cgroup) -> None:
        """Begin to enforce the limits of a container."""
        with self._lock:
            self._cgroups[cgroup.mark] = cgroup
            self._scan_at_ns = 0
        self._changed.set()

    def look_again(self) -> None:
        """Look for new processes at once: a container was given one."""
        with self._lock:
            self._scan_at_ns = 0

    def reap(self, cgroup: Cgroup, process: "subprocess.Popen[bytes]") -> int | None:
        """Collect the main process if it has ended, and kill and forget the rest of the container.

        All in one step: once collected, its pid may be another's, and is never signalled again.
        """
        with self._lock:
            cgroup.usage_ns()
            code = process.poll()
            if code is not None:
                cgroup.send(signal.SIGKILL)
                cgroup.publish()
                self._cgroups.pop(cgroup.mark, None)
        if code is not None:
            _kill_marked(cgroup)
        return code

    def signal_leader(self, cgroup: Cgroup, number: signal.Signals) -> None:
        """Signal the main process of a container that was not collected yet."""
        with self._lock:
            os.kill(cgroup.leader, number)

    def kill(self, cgroup: Cgroup) -> None:
        """Kill every process of a container, its strays included."""
        with self._lock:
            cgroup.scan()
            cgroup.send(signal.SIGKILL)
        _kill_marked(cgroup)

    def hold(self, cgroup: Cgroup, *, held: bool) -> None:
        """Stop a container whatever its quota says, or let it run on as far as its quota allows."""
        with self._lock:
            cgroup.held = held
            if held or not cgroup.throttled:
                cgroup.send(signal.SIGSTOP if held else signal.SIGCONT)

    def thaw(self) -> None:
        """Let all run on that were stopped with the whole node, save who has to wait by itself."""
        with self._lock:
            strays = self._strays()
            for cgroup in self._cgroups.values():
                cgroup.scan(strays[cgroup.mark])
                if not (cgroup.held or cgroup.throttled):
                    cgroup.send(signal.SIGCONT)

    def stop(self) -> None:
        """End the thread."""
        self._ending = True
        self._changed.set()
        self.join()

    def run(self) -> None:
        """Look, sleep until the next look could matter, repeat."""
        while not self._ending:
            with self._lock:
                wake_ns = self._look(time.monotonic_ns())
            if wake_ns is None:
                self._changed.wait()
                self._changed.clear()
            else:  # half the CPU time of Event.wait(timeout)
                time.sleep(min(max(wake_ns - time.monotonic_ns(), 0) / 1e9, _LONGEST_SLEEP_S))

    def _look(self, now_ns: int) -> int | None:
        if not self._cgroups:
            return None
        if now_ns >= self._scan_at_ns:
            self._scan(now_ns)
        return min(self._scan_at_ns, *map(self._enforce_quota, self._cgroups.values()))

    def _enforce_quota(self, cgroup: Cgroup) -> int:
        quota = cgroup.quota
        if quota is None:
            return self._scan_at_ns
        was_throttled, before_ns = quota.throttled, cgroup.usage_ns()
        throttled = quota.charge(time.monotonic_ns(), before_ns)
        if throttled and not was_throttled:
            cgroup.send(signal.SIGSTOP)
        elif was_throttled and not throttled and not cgroup.held:
            cgroup.send(signal.SIGCONT)
        return quota.next_look_ns()

    def _scan(self, now_ns: int) -> None:
        strays, close = self._strays(), False
        for cgroup in self._cgroups.values():
            cgroup.scan(strays[cgroup.mark])
            limit = cgroup.limits.memory_bytes
            if limit is not None and cgroup.memory_bytes > limit:
                cgroup.oom_killed = True
                cgroup.send(signal.SIGKILL)
            close = close or (limit is not None and cgroup.memory_bytes > _CLOSE_TO_LIMIT * limit)
        self._scan_at_ns = now_ns + (_CLOSE_SCAN_NS if close else _SCAN_NS)
        if now_ns >= self._publish_at_ns:
            self._publish_at_ns = now_ns + _PUBLISH_NS
            for cgroup in self._cgroups.values():
                cgroup.publish()

    def _strays(self) -> dict[str, list[int]]:
        """Find processes that left their container's tree: orphans come back to the kubelet."""
        leaders = {cgroup.leader for cgroup in self._cgroups.values()}
        found: dict[str, list[int]] = defaultdict(list)
        for pid in set(proc.children(os.getpid())) - leaders:
            found[proc.variable(pid, MARK)].append(pid)
        return found


def _kill_marked(cgroup: Cgroup) -> None:
    """Kill whoever carries the container's mark; takes too long to keep the limiter waiting."""
    signal_marked(MARK, cgroup.mark, signal.SIGKILL)
