"""How long a crashed container, or a failed pull, waits before the next try.

The first restart is immediate; then 10 s, doubled up to 300 s, and forgotten after 10 quiet
minutes. Knows no clock: times are given, in seconds. Source:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
"""

FIRST_S = 10.0
LONGEST_S = 300.0
_FORGOTTEN_AFTER_S = 2 * LONGEST_S


class Backoff:
    """The growing delay of one container."""

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._tried_s = 0.0

    def delay_s(self, failed_s: float) -> float:
        """Tell how long to wait after a failure at this time."""
        forgotten = failed_s - self._tried_s > _FORGOTTEN_AFTER_S
        return 0.0 if forgotten else self._delay_s

    def tried(self, now_s: float, failed_s: float) -> None:
        """Note a new try after a failure: the next wait is twice as long."""
        self._delay_s = min(max(FIRST_S, 2 * self.delay_s(failed_s)), LONGEST_S)
        self._tried_s = now_s


class Restarts:
    """When one container may be started again.

    A container that the kubelet itself killed, because a probe failed, is judged by the end of the
    run before: kubelets restart it in the same step in which they kill it, before they have seen
    it end. So a restart storm begins without any back-off, as recorded on a real cluster.
    """

    def __init__(self) -> None:
        self._backoff = Backoff()
        self._ended_s: float | None = None
        self._judged_s: float | None = None

    def ended(self, now_s: float, *, killed_by_probe: bool = False) -> float:
        """Note the end of a run; give the delay until the next one."""
        before, self._ended_s = self._ended_s, now_s
        self._judged_s = before if killed_by_probe else now_s
        if self._judged_s is None:
            return 0.0
        if self._judged_s + self._backoff.delay_s(self._judged_s) <= now_s:
            return 0.0
        self._judged_s = now_s
        return self._backoff.delay_s(now_s)

    def started(self, now_s: float) -> None:
        """Note that the container runs again, or for the first time."""
        if self._judged_s is not None:
            self._backoff.tried(now_s, self._judged_s)


def format_delay(delay_s: float) -> str:
    """Write a delay as Go does: 10s, 1m20s, 5m0s."""
    minutes, seconds = divmod(int(delay_s), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
