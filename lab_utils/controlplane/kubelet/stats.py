"""The kubelet's statistics: /stats/summary and /metrics/cadvisor, resource and probes.

All but the last are written from the same readings, taken as seldom as a real kubelet does: when a
container is first seen, then every 10 s. Names and fields are a real kubelet's, for what processes
of one machine can know: network and disk are absent rather than zero.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.cgroup import KERNEL_BYTES
from lab_utils.controlplane.kubelet.exposition import Family, Sample, exposition
from lab_utils.controlplane.kubelet.probes import Tally
from lab_utils.controlplane.kubelet.quota import PERIOD_NS
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339, utc_now
from lab_utils.units import parse_cores

_PERIOD_S = 10.0
_LOOK_S = 1.0
_CPU, _MEMORY = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes"
_START, _LIMIT = "container_start_time_seconds", "container_spec_memory_limit_bytes"
_CADVISOR = {
    "container_cpu_cfs_periods_total": "Number of elapsed enforcement period intervals.",
    "container_cpu_cfs_throttled_periods_total": "Number of throttled period intervals.",
    "container_cpu_cfs_throttled_seconds_total": "Total time the container has been throttled.",
    _CPU: "Cumulative cpu time consumed in seconds.",
    "container_cpu_user_seconds_total": "Cumulative user cpu time consumed in seconds.",
    "container_cpu_system_seconds_total": "Cumulative system cpu time consumed in seconds.",
    "container_last_seen": "Last time a container was seen by the exporter",
    "container_memory_kernel_usage": "Size of kernel memory allocated in bytes.",
    "container_memory_max_usage_bytes": "Maximum memory usage recorded in bytes",
    "container_memory_rss": "Size of RSS in bytes.",
    "container_memory_usage_bytes": "Current memory usage in bytes",
    _MEMORY: "Current working set in bytes.",
    "container_oom_events_total": "Count of out of memory events observed for the container",
    "container_processes": "Number of processes running inside the container.",
    "container_spec_cpu_period": "CPU period of the container.",
    "container_spec_cpu_quota": "CPU quota of the container.",
    "container_spec_cpu_shares": "CPU share of the container.",
    _LIMIT: "Memory limit for the container.",
    _START: "Start time of the container since unix epoch",
    "container_threads": "Number of threads running inside the container",
}
"""What cadvisor counts, as far as processes of one machine can know it, and its words for it."""
_RESOURCES = {
    _CPU: "[STABLE] Cumulative cpu time consumed by the {} in core-seconds",
    _MEMORY: "[STABLE] Current working set of the {} in bytes",
}
_PROBES = "[BETA] Cumulative number of a liveness, readiness or startup probe by result."
_DURATIONS = "[ALPHA] Duration in seconds for a probe response."
_ONLY_WITH_A_LIMIT = ("container_cpu_cfs", "container_spec_cpu_quota")
_OF_THE_FIRST = ("container_last_seen", "container_spec_cpu_period", _START)
_WITHOUT_TIME = ("container_spec", _START)


@dataclass(frozen=True)
class Reading:
    """What a container, a pod or the node used until a moment, by cadvisor's names."""

    at: datetime
    values: dict[str, float]
    nano_cores: int = 0
    pod: Object = field(default_factory=dict)
    """The pod's metadata."""
    container: dict[str, str] = field(default_factory=dict)
    """Labels of the container; empty for a whole pod."""

    @property
    def is_old(self) -> bool:
        """Tell whether it is time for the next one."""
        return (utc_now() - self.at).total_seconds() >= _PERIOD_S

    @property
    def place(self) -> dict[str, str]:
        """Give the labels of the pod."""
        return {"namespace": self.pod["namespace"], "pod": self.pod["name"]}


class Stats:
    """Takes the readings of one node's containers and writes them down."""

    def __init__(self, node: str, workers: Callable[[], Iterable[PodWorker]]) -> None:
        self._node, self._workers = node, workers
        self._started = utc_now()
        self._kubelet = Reading(self._started, {_CPU: 0, _MEMORY: 0})
        self._latest: dict[str, Reading] = {}

    async def run(self) -> None:
        """Take the readings that are due, every second until cancelled."""
        while True:
            self._latest = {
                slot.container.id: self._read(worker.pod, slot.record.spec, slot.container)
                for worker in self._workers()
                for slot in worker.slots.values()
                if slot.container
            }
            if self._kubelet.is_old:
                cpu_s = (proc.cpu_ns(os.getpid()) or 0) / 1e9
                values = {_CPU: cpu_s, _MEMORY: proc.memory_bytes(os.getpid())}
                rate = _nano_cores(self._kubelet, cpu_s)
                self._kubelet = Reading(utc_now(), values, rate)
            await asyncio.sleep(_LOOK_S)

    def summary(self) -> Object:
        """Give /stats/summary."""
        whole, disk = self._whole_node(), shutil.disk_usage("/")
        space = {"availableBytes": disk.free, "capacityBytes": disk.total, "usedBytes": disk.used}
        node = {"nodeName": self._node, "startTime": rfc3339(self._started)}
        node |= _cpu_and_memory(whole) | {"fs": {"time": rfc3339(whole.at), **space}}
        return {"node": node, "pods": [_pod_summary(readings) for readings in self._by_pod()]}

    def cadvisor(self) -> str:
        """Give /metrics/cadvisor, for containers and for pods as a whole."""
        pods = [_total(readings) for readings in self._by_pod()]
        return exposition(
            Family(name, text, list(_cadvisor_samples(name, [*pods, *self._latest.values()])))
            for name, text in _CADVISOR.items()
        )

    def resource(self) -> str:
        """Give /metrics/resource, what `kubectl top` and autoscaling read."""
        containers = [
            ({"container": reading.container["container"], **reading.place}, reading)
            for reading in self._latest.values()
        ]
        scopes: dict[str, list[tuple[dict[str, str], Reading]]] = {
            "container": containers,
            "node": [({}, self._whole_node())],
            "pod": [(reading.place, reading) for reading in map(_total, self._by_pod())],
        }
        begun = [Sample(labels, reading.values[_START]) for labels, reading in containers]
        error = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise"
        families = [
            Family(_START, f"[STABLE] {_CADVISOR[_START]} in seconds", begun),
            Family("resource_scrape_error", error, [Sample({}, 0)]),
        ]
        for scope, rows in scopes.items():
            for name, text in _RESOURCES.items():
                samples = [Sample(labels, one.values[name], one.at) for labels, one in rows]
                own = name.replace("container", scope)
                families.append(Family(own, text.format(scope), samples))
        return exposition(families)

    def probes(self) -> str:
        """Give /metrics/probes: how the probes of this node's pods were answered, and how soon."""
        results: list[Sample] = []
        durations: list[Sample] = []
        for worker in self._workers():
            pod = worker.pod["metadata"]
            place = {"namespace": pod["namespace"], "pod": pod["name"]}
            for container, kind, tally in worker.probes.tallies():
                labels = {"container": container, "probe_type": kind, **place}
                for result, count in sorted(tally.results.items()):
                    results.append(
                        Sample(labels | {"pod_uid": pod["uid"], "result": result}, count)
                    )
                durations += _histogram(labels, tally)
        return exposition(
            [
                Family("prober_probe_total", _PROBES, results),
                Family("prober_probe_duration_seconds", _DURATIONS, durations, "histogram"),
            ]
        )

    def _read(self, pod: Object, spec: Object, container: Container) -> Reading:
        before = self._latest.get(container.id)
        if before and not before.is_old:
            return before
        values = _measure(container, _requested_cores(spec))
        image = container.launch.image
        path = f"/kubepods/pod{pod['metadata']['uid']}/{container.id}"
        labels = {"container": spec["name"], "id": path, "image": image, "name": container.id}
        rate = _nano_cores(before, values[_CPU]) if before else 0
        return Reading(utc_now(), values, rate, pod["metadata"], labels)

    def _by_pod(self) -> Iterator[list[Reading]]:
        """Group the readings; those of one pod follow each other."""
        for _, group in groupby(self._latest.values(), lambda reading: reading.pod["uid"]):
            yield list(group)

    def _whole_node(self) -> Reading:
        return _total([self._kubelet, *self._latest.values()])


def _requested_cores(spec: Object) -> float:
    return parse_cores(spec.get("resources", {}).get("requests", {}).get("cpu", "0"))


def _shares(cores: float) -> int:
    """Give the weight that a kubelet sets for a CPU request; 2 is the least."""
    return max(2, int(cores * 1024))


def _cadvisor_samples(name: str, readings: Iterable[Reading]) -> Iterator[Sample]:
    for reading in readings:
        value = reading.values[name]
        if name.startswith(_ONLY_WITH_A_LIMIT) and not reading.values["container_spec_cpu_quota"]:
            continue
        total = {"cpu": "total"} if name == _CPU else {}
        at = None if name.startswith(_WITHOUT_TIME) else reading.at
        yield Sample(_cadvisor_labels(reading) | total, value, at)


def _histogram(labels: dict[str, str], tally: Tally) -> Iterator[Sample]:
    for bound, count in tally.buckets():
        yield Sample(labels | {"le": bound}, count, suffix="_bucket")
    yield Sample(labels, tally.sum_s, suffix="_sum")
    yield Sample(labels, sum(tally.counts), suffix="_count")


def _measure(container: Container, requested_cores: float) -> dict[str, float]:
    cgroup, memory_bytes = container.cgroup, container.cgroup.memory_bytes
    cpu_s, user_share = cgroup.total_ns / 1e9, proc.user_share(cgroup.leader)
    return {
        "container_cpu_cfs_periods_total": cgroup.stat.nr_periods,
        "container_cpu_cfs_throttled_periods_total": cgroup.stat.nr_throttled,
        "container_cpu_cfs_throttled_seconds_total": cgroup.stat.throttled_ns / 1e9,
        _CPU: cpu_s,
        "container_cpu_user_seconds_total": cpu_s * user_share,
        "container_cpu_system_seconds_total": cpu_s * (1 - user_share),
        "container_memory_usage_bytes": memory_bytes,
        _MEMORY: memory_bytes,
        "container_memory_rss": max(memory_bytes - KERNEL_BYTES, 0),
        "container_memory_kernel_usage": min(memory_bytes, KERNEL_BYTES),
        "container_memory_max_usage_bytes": cgroup.peak_bytes,
        "container_oom_events_total": cgroup.oom_killed,
        "container_processes": cgroup.processes,
        "container_threads": proc.threads(cgroup.leader),
        "container_last_seen": int(utc_now().timestamp()),
        "container_spec_cpu_period": PERIOD_NS // 1000,
        "container_spec_cpu_quota": int((cgroup.limits.cores or 0) * PERIOD_NS // 1000),
        "container_spec_cpu_shares": _shares(requested_cores),
        _LIMIT: cgroup.limits.memory_bytes or 0,
        _START: container.started_at.timestamp(),
    }


def _nano_cores(before: Reading, cpu_s: float) -> int:
    elapsed_s = max((utc_now() - before.at).total_seconds(), 1.0)
    return int((cpu_s - before.values[_CPU]) / elapsed_s * 1e9)


def _total(readings: Sequence[Reading]) -> Reading:
    """Add up what all of them have; times and pod are the first one's."""
    first = readings[0]
    values = {name: sum(r.values[name] for r in readings) for name in first.values}
    values |= {name: first.values[name] for name in _OF_THE_FIRST if name in values}
    return Reading(first.at, values, sum(r.nano_cores for r in readings), first.pod)


def _pod_summary(readings: list[Reading]) -> Object:
    pod, whole = readings[0].pod, _total(readings)
    containers = [
        {"name": r.container["container"], "startTime": _start(r), **_cpu_and_memory(r)}
        for r in readings
    ]
    return {
        "podRef": {name: pod[name] for name in ("name", "namespace", "uid")},
        "startTime": min(map(_start, readings)),
        "containers": containers,
        **_cpu_and_memory(whole),
        "process_stats": {"process_count": whole.values["container_processes"]},
    }


def _start(reading: Reading) -> str:
    return rfc3339(datetime.fromtimestamp(reading.values[_START], UTC))


def _cpu_and_memory(reading: Reading) -> Object:
    at, used, cpu_s = rfc3339(reading.at), reading.values[_MEMORY], reading.values[_CPU]
    limit = reading.values.get(_LIMIT) if reading.container else None
    left = {"availableBytes": max(limit - used, 0)} if limit else {}
    rates = {"usageNanoCores": reading.nano_cores, "usageCoreNanoSeconds": round(cpu_s * 1e9)}
    sizes = {"usageBytes": used, "workingSetBytes": used, "rssBytes": used}
    return {"cpu": {"time": at, **rates}, "memory": {"time": at, **left, **sizes}}


def _cadvisor_labels(reading: Reading) -> dict[str, str]:
    path = f"/kubepods/pod{reading.pod['uid']}"
    whole_pod = {"container": "", "id": path, "image": "", "name": ""}
    return (reading.container or whole_pod) | reading.place
