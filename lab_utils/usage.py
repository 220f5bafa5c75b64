"""What the pods use while a run lasts: CPU, memory, throttling, restarts, readiness, Events.

Reads each worker's own `/metrics` about once a second through the API server's pod proxy (the
kubelet's figures move only every 10-15 s). Survives a cluster that does not answer: a pod that
cannot be read is a row with gaps, an API server that cannot be read is a stretch without rows.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import pandas as pd
from prometheus_client.parser import text_string_to_metric_families

from lab_utils.background import Background
from lab_utils.clock import Clock
from lab_utils.tables import make_table
from lab_utils.units import parse_bytes, parse_cores

_CPU = "process_cpu_seconds_total"
_MEMORY = "process_resident_memory_bytes"
_PERIODS = "lab_cpu_periods_total"
_THROTTLED = "lab_cpu_throttled_periods_total"
_LEAVE_S = 0.8  # the sampler is a witness: it must not hold up the end of a run


class Source(Protocol):
    """What the sampler needs of a cluster: one namespace of it, objects as on the wire."""

    def pods(self) -> list[dict[str, Any]]:
        """Give the pods."""

    def proxy_pod(self, pod: str, port: int | str, path: str) -> str:
        """Ask a pod for a path through the API server."""

    def events_since(self, since: datetime) -> list[dict[str, Any]]:
        """Give the Events that happened at or after a moment."""


@dataclass(frozen=True)
class Sample:
    """One look at one pod; counters is empty if it could not be read."""

    perf_ns: int
    pod: str
    node: str
    role: str
    restarts: int
    ready: bool
    counters: dict[str, float] = field(default_factory=dict)


class Sampler(Background):
    """Samples the pods in a thread while its context lasts.

    Args:
        source: The namespace to look at.
        period_s: Time between two looks, in seconds.
        port: Where the pods serve `/metrics`.

    Attributes:
        limits: By role, the limits of its pods: {"cpu_cores": 0.1, "memory_bytes": 67108864}.
        errors: What went wrong, in words, in order.
    """

    def __init__(self, source: Source, *, period_s: float = 1.0, port: int = 8000) -> None:
        super().__init__("usage", _LEAVE_S)
        self._source, self._period_s, self._port = source, period_s, port
        self._samples: list[Sample] = []
        self._events: list[dict[str, Any]] = []
        self._reading: set[str] = set()
        self._lock = threading.Lock()
        self.limits: dict[str, dict[str, float]] = {}
        self.errors: list[str] = []

    def _enter(self) -> None:
        self._since = datetime.now(UTC)

    def _leave(self, *, late: bool) -> None:
        if late:
            self.errors.append("The cluster was too slow to tell its Events")

    def tables(self, clock: Clock) -> dict[str, pd.DataFrame]:
        """Give the tables usage and events on a run's clock; full once the context was left."""
        with self._lock:
            usage = tabulate_usage(self._samples, clock)
        return {"usage": usage, "events": tabulate_events(self._events, clock)}

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopped.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + self._period_s, time.monotonic())
            self._attempt(self._look)
        self._attempt(self._read_events)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as exc:  # a witness goes on whatever the cluster does; it is recorded
            self.errors.append(str(exc))

    def _look(self) -> None:
        for pod in filter(_role_of, self._source.pods()):  # not the load generators
            self._look_at(pod)

    def _read_events(self) -> None:
        self._events = self._source.events_since(self._since)

    def _look_at(self, pod: dict[str, Any]) -> None:
        name, containers = pod["metadata"]["name"], pod["spec"]["containers"]
        if limits := containers[0].get("resources", {}).get("limits"):
            self.limits[_role_of(pod)] = _parse_limits(limits)
        if name in self._reading:  # it has not answered since the last look
            self._keep(pod, time.perf_counter_ns(), {})
            return
        self._reading.add(name)
        # One thread per pod, so that a pod that hangs does not blind the sampler to the others.
        threading.Thread(target=self._read, args=(pod,), name="usage-read", daemon=True).start()

    def _read(self, pod: dict[str, Any]) -> None:
        name, asked_ns = pod["metadata"]["name"], time.perf_counter_ns()
        counters: dict[str, float] = {}

        def ask() -> None:
            counters.update(parse_metrics(self._source.proxy_pod(name, self._port, "/metrics")))

        self._attempt(ask)
        self._reading.discard(name)
        self._keep(pod, (asked_ns + time.perf_counter_ns()) // 2, counters)

    def _keep(self, pod: dict[str, Any], perf_ns: int, counters: dict[str, float]) -> None:
        status = pod.get("status", {})
        conditions = status.get("conditions") or []
        sample = Sample(
            perf_ns,
            pod["metadata"]["name"],
            pod["spec"].get("nodeName", ""),
            _role_of(pod),
            sum(c.get("restartCount", 0) for c in status.get("containerStatuses") or []),
            any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
            counters,
        )
        with self._lock:
            self._samples.append(sample)


def _role_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"].get("labels", {}).get("role", ""))


def _parse_limits(limits: dict[str, Any]) -> dict[str, float]:
    parsed: dict[str, float] = {}
    if "cpu" in limits:
        parsed["cpu_cores"] = parse_cores(limits["cpu"])
    if "memory" in limits:
        parsed["memory_bytes"] = parse_bytes(limits["memory"])
    return parsed


def parse_metrics(text: str) -> dict[str, float]:
    """Read what the sampler needs from the Prometheus text of a worker.

    Raises:
        ValueError: It is not in Prometheus' text format.
    """
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    wanted = {_CPU, _MEMORY, _PERIODS, _THROTTLED}
    return {sample.name: sample.value for sample in samples if sample.name in wanted}


def tabulate_usage(samples: Iterable[Sample], clock: Clock) -> pd.DataFrame:
    """Turn counters into rates.

    Args:
        samples: Looks at pods, in any order.
        clock: The run's clock.

    Returns:
        The usage table by time. cpu_cores and throttled_share are means since the pod's sample
        before; NaN for a pod's first, after a restart and where the pod could not be read.
        throttled_share is the share of CFS periods with work in which the quota ran out.
    """
    rows: list[dict[str, Any]] = []
    before: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda one: one.perf_ns):
        row = {name: getattr(sample, name) for name in ("pod", "node", "role", "restarts", "ready")}
        row |= {"t_s": clock.at_s(sample.perf_ns), "memory_bytes": sample.counters.get(_MEMORY)}
        if sample.counters:
            row |= _rates(before.get(sample.pod), sample)
            before[sample.pod] = sample
        rows.append(row)
    return make_table("usage", rows)


def _rates(before: Sample | None, now: Sample) -> dict[str, float]:
    if before is None or now.perf_ns <= before.perf_ns:
        return {}
    grown = {
        name: value - before.counters[name]
        for name, value in now.counters.items()
        if name in before.counters and name != _MEMORY
    }
    if any(value < 0 for value in grown.values()):
        return {}  # the counters began anew: the container was restarted
    rates: dict[str, float] = {}
    if _CPU in grown:
        rates["cpu_cores"] = grown[_CPU] / ((now.perf_ns - before.perf_ns) / 1e9)
    if _THROTTLED in grown and _PERIODS in grown:
        periods = grown[_PERIODS]
        rates["throttled_share"] = grown[_THROTTLED] / periods if periods else 0.0
    return rates


def tabulate_events(events: Sequence[dict[str, Any]], clock: Clock) -> pd.DataFrame:
    """Put Kubernetes Events on a run's clock.

    Args:
        events: Events as on the wire (core/v1 or events.k8s.io/v1).
        clock: The run's clock.

    Returns:
        The events table by time. Most components stamp whole seconds, so t_s may be up to 1 s
        early.
    """
    rows = []
    for event in events:
        about = event.get("involvedObject") or event.get("regarding") or {}
        rows.append(
            {
                "t_s": clock.of_wall(_happened_at(event)),
                "type": event.get("type"),
                "reason": event.get("reason"),
                "kind": about.get("kind"),
                "name": about.get("name"),
                "message": event.get("message") or event.get("note"),
            }
        )
    return make_table("events", sorted(rows, key=lambda row: row["t_s"]))


def _happened_at(event: dict[str, Any]) -> datetime:
    series = event.get("series") or {}
    stamp: str = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    return datetime.fromisoformat(stamp)
