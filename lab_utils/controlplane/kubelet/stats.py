"""The kubelet's statistics: /stats/summary, /metrics/cadvisor and /metrics/resource.

All three are written from the same readings, taken as seldom as a real kubelet does: when a
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
from lab_utils.controlplane.kubelet.quota import PERIOD_NS
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339, utc_now

_PERIOD_S = 10.0
_LOOK_S = 1.0
_CPU, _MEMORY = "container_cpu_usage_seconds_total", "container_memory_working_set_bytes"
_START, _LIMIT = "container_start_time_seconds", "container_spec_memory_limit_bytes"
_OF_CONTAINERS_ONLY = ("container_spec", "container_processes", _START)
_Row = tuple[dict[str, str], float, datetime | None]
"""Labels, value and time of one line of a metric."""


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
                slot.container.id: self._read(worker.pod, slot.record.name, slot.container)
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
        names = next(iter(self._latest.values())).values if self._latest else {}
        families: dict[str, list[_Row]] = {}
        for name in names:
            whole = [] if name.startswith(_OF_CONTAINERS_ONLY) else pods
            families[name] = [
                (_cadvisor_labels(reading), reading.values[name], reading.at)
                for reading in [*whole, *self._latest.values()]
            ]
        return _text(families)

    def resource(self) -> str:
        """Give /metrics/resource, what `kubectl top` and autoscaling read."""
        containers = [
            ({"container": reading.container["container"], **reading.place}, reading)
            for reading in self._latest.values()
        ]
        pods = map(_total, self._by_pod())
        scopes: dict[str, list[tuple[dict[str, str], Reading]]] = {
            "container": containers,
            "node": [({}, self._whole_node())],
            "pod": [(reading.place, reading) for reading in pods],
        }
        families: dict[str, list[_Row]] = {
            _START: [(labels, reading.values[_START], None) for labels, reading in containers],
            "resource_scrape_error": [({}, 0, None)],
        }
        for scope, rows in scopes.items():
            for name in (_CPU, _MEMORY):
                families[name.replace("container", scope)] = [
                    (labels, reading.values[name], reading.at) for labels, reading in rows
                ]
        return _text(families)

    def _read(self, pod: Object, name: str, container: Container) -> Reading:
        before = self._latest.get(container.id)
        if before and not before.is_old:
            return before
        values, image = _measure(container), container.launch.image
        path = f"/kubepods/pod{pod['metadata']['uid']}/{container.id}"
        labels = {"container": name, "id": path, "image": image, "name": container.id}
        rate = _nano_cores(before, values[_CPU]) if before else 0
        return Reading(utc_now(), values, rate, pod["metadata"], labels)

    def _by_pod(self) -> Iterator[list[Reading]]:
        """Group the readings; those of one pod follow each other."""
        for _, group in groupby(self._latest.values(), lambda reading: reading.pod["uid"]):
            yield list(group)

    def _whole_node(self) -> Reading:
        return _total([self._kubelet, *self._latest.values()])


def _measure(container: Container) -> dict[str, float]:
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
        "container_memory_rss": memory_bytes,
        "container_memory_max_usage_bytes": cgroup.peak_bytes,
        "container_oom_events_total": cgroup.oom_killed,
        "container_processes": cgroup.processes,
        "container_spec_cpu_period": PERIOD_NS // 1000,
        "container_spec_cpu_quota": int((cgroup.limits.cores or 0) * PERIOD_NS // 1000),
        _LIMIT: cgroup.limits.memory_bytes or 0,
        _START: container.started_at.timestamp(),
    }


def _nano_cores(before: Reading, cpu_s: float) -> int:
    elapsed_s = max((utc_now() - before.at).total_seconds(), 1.0)
    return int((cpu_s - before.values[_CPU]) / elapsed_s * 1e9)


def _total(readings: Sequence[Reading]) -> Reading:
    """Add up what all of them have; time and pod are the first one's."""
    first = readings[0]
    values = {name: sum(r.values[name] for r in readings) for name in first.values}
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


def _text(families: dict[str, list[_Row]]) -> str:
    """Write metrics in Prometheus' text format."""
    lines = []
    for name, rows in families.items():
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        for labels, value, at in rows:
            text = ",".join(f'{label}="{word}"' for label, word in labels.items())
            where = f"{{{text}}}" if text else ""
            when = f" {int(at.timestamp() * 1000)}" if at else ""
            lines.append(f"{name}{where} {value:.15g}{when}")
    return "\n".join([*lines, ""])
