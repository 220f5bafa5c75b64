"""The kubelet's statistics: /stats/summary, /metrics/cadvisor and /metrics/resource.

The same paths, fields and names as a real kubelet, for what processes of one machine can know.
Network and disk are not accounted to pods here, so those fields are absent rather than zero.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path

from lab_utils.controlplane.kubelet.quota import PERIOD_NS
from lab_utils.controlplane.kubelet.usage import Sample, Sampler, Usage, sum_of
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339, utc_now

_Values = dict[str, Callable[[Sample], float]]
_Row = tuple[dict[str, str], float, datetime | None]
"""Labels, value and time of one line of a metric."""
_OF_PODS_TOO: _Values = {
    "container_cpu_cfs_periods_total": lambda s: s.stat.nr_periods,
    "container_cpu_cfs_throttled_periods_total": lambda s: s.stat.nr_throttled,
    "container_cpu_cfs_throttled_seconds_total": lambda s: s.stat.throttled_ns / 1e9,
    "container_cpu_usage_seconds_total": lambda s: s.usage.cpu_ns / 1e9,
    "container_cpu_user_seconds_total": lambda s: s.usage.cpu_ns / 1e9 * s.user_share,
    "container_cpu_system_seconds_total": lambda s: s.usage.cpu_ns / 1e9 * (1 - s.user_share),
    "container_memory_usage_bytes": lambda s: s.usage.memory_bytes,
    "container_memory_working_set_bytes": lambda s: s.usage.memory_bytes,
    "container_memory_rss": lambda s: s.usage.memory_bytes,
    "container_memory_max_usage_bytes": lambda s: s.peak_bytes,
    "container_oom_events_total": lambda s: s.oom_kills,
}
"""Given per container, and per pod without container and image."""
_OF_CONTAINERS: _Values = {
    "container_processes": lambda s: s.processes,
    "container_spec_cpu_period": lambda _: PERIOD_NS // 1000,
    "container_spec_cpu_quota": lambda s: int((s.limits.cores or 0) * PERIOD_NS // 1000),
    "container_spec_memory_limit_bytes": lambda s: s.limits.memory_bytes or 0,
    "container_start_time_seconds": lambda s: s.started_at.timestamp(),
}


class Stats:
    """Writes down what the sampler saw last."""

    def __init__(self, sampler: Sampler, node: str, folder: Path) -> None:
        self._sampler, self._node, self._folder = sampler, node, folder
        self._started = utc_now()

    def summary(self) -> Object:
        """Give /stats/summary."""
        node, disk = self._whole_node(), shutil.disk_usage(self._folder)
        space = {"availableBytes": disk.free, "capacityBytes": disk.total, "usedBytes": disk.used}
        return {
            "node": {
                "nodeName": self._node,
                "startTime": rfc3339(self._started),
                **_cpu_and_memory(node),
                "fs": {"time": rfc3339(node.at), **space},
            },
            "pods": [_pod_summary(samples) for samples in self._by_pod()],
        }

    def cadvisor(self) -> str:
        """Give /metrics/cadvisor, for containers and for pods as a whole."""
        return _text(
            (name, self._cadvisor_rows(value, of_pods=name in _OF_PODS_TOO))
            for name, value in (_OF_PODS_TOO | _OF_CONTAINERS).items()
        )

    def resource(self) -> str:
        """Give /metrics/resource, what `kubectl top` and autoscaling read."""
        samples, groups = self._sampler.samples, self._by_pod()
        scopes: dict[str, list[tuple[dict[str, str], Usage]]] = {
            "container": [({"container": s.name, **_place(s)}, s.usage) for s in samples],
            "node": [({}, self._whole_node())],
            "pod": [(_place(group[0]), _total(group)) for group in groups],
        }
        families: list[tuple[str, Iterable[_Row]]] = [
            (
                "container_start_time_seconds",
                [
                    ({"container": s.name, **_place(s)}, s.started_at.timestamp(), None)
                    for s in samples
                ],
            ),
            ("resource_scrape_error", [({}, 0, None)]),
        ]
        for scope, rows in scopes.items():
            cpu = [(labels, usage.cpu_ns / 1e9, usage.at) for labels, usage in rows]
            memory = [(labels, usage.memory_bytes, usage.at) for labels, usage in rows]
            families.append((f"{scope}_cpu_usage_seconds_total", cpu))
            families.append((f"{scope}_memory_working_set_bytes", memory))
        return _text(families)

    def _cadvisor_rows(self, value: Callable[[Sample], float], *, of_pods: bool) -> Iterator[_Row]:
        for group in self._by_pod() if of_pods else []:
            total = sum(map(value, group))
            yield _cadvisor_labels(group[0], whole_pod=True), total, group[0].usage.at
        for sample in self._sampler.samples:
            yield _cadvisor_labels(sample, whole_pod=False), value(sample), sample.usage.at

    def _by_pod(self) -> list[list[Sample]]:
        """Group the samples; those of one pod follow each other."""
        return [list(group) for _, group in groupby(self._sampler.samples, lambda s: s.pod["uid"])]

    def _whole_node(self) -> Usage:
        return sum_of([self._sampler.kubelet, *(s.usage for s in self._sampler.samples)])


def _pod_summary(samples: list[Sample]) -> Object:
    pod = samples[0].pod
    return {
        "podRef": {name: pod[name] for name in ("name", "namespace", "uid")},
        "startTime": rfc3339(min(sample.started_at for sample in samples)),
        "containers": [
            {
                "name": sample.name,
                "startTime": rfc3339(sample.started_at),
                **_cpu_and_memory(sample.usage, sample.limits.memory_bytes),
            }
            for sample in samples
        ],
        **_cpu_and_memory(_total(samples)),
        "process_stats": {"process_count": sum(sample.processes for sample in samples)},
    }


def _cpu_and_memory(usage: Usage, limit_bytes: int | None = None) -> Object:
    at, used = rfc3339(usage.at), usage.memory_bytes
    left = {} if limit_bytes is None else {"availableBytes": max(limit_bytes - used, 0)}
    rates = {"usageNanoCores": usage.nano_cores, "usageCoreNanoSeconds": usage.cpu_ns}
    sizes = {"usageBytes": used, "workingSetBytes": used, "rssBytes": used}
    return {"cpu": {"time": at, **rates}, "memory": {"time": at, **left, **sizes}}


def _total(samples: list[Sample]) -> Usage:
    return sum_of([sample.usage for sample in samples])


def _place(sample: Sample) -> dict[str, str]:
    return {"namespace": sample.pod["namespace"], "pod": sample.pod["name"]}


def _cadvisor_labels(sample: Sample, *, whole_pod: bool) -> dict[str, str]:
    path = f"/kubepods/pod{sample.pod['uid']}"
    own = {"container": "", "id": path, "image": "", "name": ""}
    if not whole_pod:
        path = f"{path}/{sample.id}"
        own = {"container": sample.name, "id": path, "image": sample.image, "name": sample.id}
    return own | _place(sample)


def _text(families: Iterable[tuple[str, Iterable[_Row]]]) -> str:
    """Write metrics in Prometheus' text format."""
    lines = []
    for name, rows in families:
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        for labels, value, at in rows:
            text = ",".join(f'{label}="{word}"' for label, word in labels.items())
            where = f"{{{text}}}" if text else ""
            when = f" {int(at.timestamp() * 1000)}" if at else ""
            lines.append(f"{name}{where} {value:.15g}{when}")
    return "\n".join([*lines, ""])
