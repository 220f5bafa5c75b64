"""What Prometheus reads from a worker: time by phase, load, its process and its CPU quota.

Hides metric names and where the kernel keeps them. Never samples in the background: numbers are
read when somebody asks.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.engine import Engine
from worker.jobs import Times
from worker.settings import Settings
from worker.startup import Startup

CONTENT_TYPE = CONTENT_TYPE_LATEST

# In multiples of the mean service time: what matters is how long a request is against its work.
_BUCKETS = (0.1, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 7.5, 10, 15, 25, 50)


_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one worker."""

    def __init__(
        self, engine: Engine, settings: Settings, startup: Callable[[], Startup | None]
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(CpuQuota(Path(settings.cgroup_root)))
        self._registry.register(Memory(Path(settings.cgroup_root)))
        seconds = Histogram(
            "lab_request_seconds",
            "Time of answered requests. queue and service are on the ideal timeline; total is what "
            "passed, so total - queue - service is the lateness of this process.",
            ["phase"],
            buckets=[(engine.mean_service_s or 0.1) * multiple for multiple in _BUCKETS],
            registry=self._registry,
        )
        self._queue, self._service, self._total = (
            seconds.labels(phase) for phase in ("queue", "service", "total")
        )
        self._batch = Histogram(
            "lab_batch_size",
            "Requests that shared a slot, as each request saw it.",
            buckets=_BATCH_BUCKETS,
            registry=self._registry,
        )
        self._requests = Counter(
            "lab_requests", "Infer requests by status code.", ["code"], registry=self._registry
        )
        in_flight = Gauge("lab_requests_in_flight", "Requests in service.", registry=self._registry)
        in_flight.set_function(lambda: engine.running)
        depth = Gauge("lab_queue_depth", "Requests waiting for a slot.", registry=self._registry)
        depth.set_function(lambda: engine.waiting)
        self._sums = Sums()
        self._registry.register(Totals(engine, self._sums, settings))
        self._registry.register(Start(startup))

    def count(self, code: int) -> None:
        """Record that an infer request was answered with this status code."""
        self._requests.labels(code).inc()
        self._sums.failed += code >= 400

    def observe(self, times: Times, total_s: float) -> None:
        """Record the times of a job that was served."""
        self._queue.observe(times.queue_s)
        self._service.observe(times.service_s)
        self._total.observe(total_s)
        self._batch.observe(times.batch_size)
        self._sums.served += 1
        self._sums.queue_s += times.queue_s
        self._sums.service_s += times.service_s

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(slots=True)
class Sums:
    """Sums over all requests since the start."""

    served: int = 0
    failed: int = 0
    queue_s: float = 0.0
    service_s: float = 0.0


class Totals(Collector):
    """Sums that need no histogram, also under the names that dashboards for vLLM and Triton know.

    https://docs.vllm.ai/en/latest/usage/metrics.html,
    https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md
    """

    def __init__(self, engine: Engine, sums: Sums, settings: Settings) -> None:
        self._engine, self._sums = engine, sums
        self._vllm = {"model_name": settings.model}
        self._triton = {"model": settings.model, "version": settings.version}

    def collect(self) -> Iterator[Metric]:
        """Give them now."""
        yield CounterMetricFamily(
            "lab_in_system_seconds",
            "Requests waiting or in service, summed over time: its rate is Little's L.",
            value=self._engine.in_system_s,
        )
        gauges: tuple[tuple[str, str, float], ...] = (
            ("vllm:num_requests_running", "Requests in service.", self._engine.running),
            ("vllm:num_requests_waiting", "Requests waiting for a slot.", self._engine.waiting),
        )
        for name, text, value in gauges:
            yield _named(name, text, "gauge", self._vllm, value)
        sums = self._sums
        counters: tuple[tuple[str, str, float], ...] = (
            ("nv_inference_request_success", "Requests answered.", sums.served),
            ("nv_inference_request_failure", "Requests refused or failed.", sums.failed),
            ("nv_inference_queue_duration_us", "Time waited for a slot.", sums.queue_s * 1e6),
            ("nv_inference_compute_infer_duration_us", "Service time.", sums.service_s * 1e6),
        )
        for name, text, value in counters:
            # Triton's counters lack the suffix that this library gives to every counter.
            yield _named(name, text, "unknown", self._triton, value)


def _named(name: str, text: str, kind: str, labels: dict[str, str], value: float) -> Metric:
    metric = Metric(name, text, kind)
    metric.add_sample(name, labels, value)
    return metric


class Memory(Collector):
    """The memory that counts against this container's limit, as a kubelet reckons it.

    What is charged, less the file pages that the kernel would rather drop than kill for. Without
    cgroup files there is no series. https://docs.kernel.org/admin-guide/cgroup-v2.html#memory
    """

    def __init__(self, root: Path) -> None:
        self._ways = (
            (root / "memory.current", root / "memory.stat", "inactive_file"),
            (
                root / "memory" / "memory.usage_in_bytes",
                root / "memory" / "memory.stat",
                "total_inactive_file",
            ),
        )

    def collect(self) -> Iterator[Metric]:
        """Read it now."""
        for charged, stat, droppable in self._ways:
            with contextlib.suppress(OSError, ValueError):
                used = int(charged.read_text()) - _read_counters(stat).get(droppable, 0)
                text = "Memory that counts against the container's limit."
                yield GaugeMetricFamily("lab_memory_bytes", text, value=used)
                return


class Start(Collector):
    """What the start of this process took; no series before it listens, or where nobody knows."""

    def __init__(self, startup: Callable[[], Startup | None]) -> None:
        self._startup = startup

    def collect(self) -> Iterator[Metric]:
        """Give both times."""
        if (taken := self._startup()) is None:
            return
        for name, text, value in (
            ("lab_start_seconds", "From the start of the process until it listened.", taken.wall_s),
            ("lab_start_cpu_seconds", "CPU time that this took.", taken.cpu_s),
        ):
            yield GaugeMetricFamily(name, text, value=value)


class CpuQuota(Collector):
    """Counters of the kernel's CPU bandwidth control for this container.

    Where its files cannot be read there are no series, rather than zeros.
    https://docs.kernel.org/scheduler/sched-bwc.html#statistics
    """

    def __init__(self, root: Path) -> None:
        self._files = (root / "cpu.stat", root / "cpu" / "cpu.stat")  # cgroup v2, v1

    def collect(self) -> Iterator[Metric]:
        """Read the counters now."""
        stat = self._read()
        if "nr_periods" not in stat:
            return
        seconds = stat.get("throttled_usec", 0) / 1e6 + stat.get("throttled_time", 0) / 1e9
        for name, text, value in (
            ("lab_cpu_periods", "Periods in which the container wanted CPU.", stat["nr_periods"]),
            ("lab_cpu_throttled_periods", "Periods that used up the quota.", stat["nr_throttled"]),
            ("lab_cpu_throttled_seconds", "Time spent stopped by the CPU limit.", seconds),
        ):
            yield CounterMetricFamily(name, text, value=value)

    def _read(self) -> dict[str, int]:
        found = map(_read_counters, self._files)
        return next((stat for stat in found if stat), {})


def _read_counters(file: Path) -> dict[str, int]:
    """Read a file of names and numbers; nothing from one that cannot be read."""
    with contextlib.suppress(OSError):
        words = file.read_text().split()
        return dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return {}
