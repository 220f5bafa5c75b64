"""The kubelet's statistics: /stats/summary, /metrics/cadvisor and /metrics/resource.

The same paths, fields and names as a real kubelet, for what processes of one machine can know.
Network and disk are not accounted to pods here, so those fields are absent rather than zero.
"""

import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from lab_utils.controlplane.kubelet.quota import PERIOD_NS
from lab_utils.controlplane.kubelet.usage import Sample, Sampler, Usage
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339, utc_now

_Family = tuple[str, str, str, Callable[[Sample], float]]
_CADVISOR: tuple[_Family, ...] = (
    ("container_cpu_cfs_periods_total", "counter",
     "Number of elapsed enforcement period intervals.", lambda s: s.stat.nr_periods),
    ("container_cpu_cfs_throttled_periods_total", "counter",
     "Number of throttled period intervals.", lambda s: s.stat.nr_throttled),
    ("container_cpu_cfs_throttled_seconds_total", "counter",
     "Total time duration the container has been throttled.", lambda s: s.stat.throttled_ns / 1e9),
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.",
     lambda s: s.usage.cpu_ns / 1e9),
    ("container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds.",
     lambda s: s.usage.cpu_ns / 1e9 * s.user_share),
    ("container_cpu_system_seconds_total", "counter",
     "Cumulative system cpu time consumed in seconds.",
     lambda s: s.usage.cpu_ns / 1e9 * (1 - s.user_share)),
    ("container_memory_usage_bytes", "gauge",
     "Current memory usage in bytes, including all memory regardless of when it was accessed",
     lambda s: s.usage.memory_bytes),
    ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.",
     lambda s: s.usage.memory_bytes),
    ("container_memory_rss", "gauge", "Size of RSS in bytes.", lambda s: s.usage.memory_bytes),
    ("container_memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes",
     lambda s: s.peak_bytes),
    ("container_oom_events_total", "counter",
     "Count of out of memory events observed for the container", lambda s: s.oom_kills),
    ("container_processes", "gauge", "Number of processes running inside the container.",
     lambda s: s.processes),
    ("container_spec_cpu_period", "gauge", "CPU period of the container.",
     lambda _: PERIOD_NS // 1000),
    ("container_spec_cpu_quota", "gauge", "CPU quota of the container.",
     lambda s: int((s.limits.cores or 0) * PERIOD_NS // 1000)),
    ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.",
     lambda s: s.limits.memory_bytes or 0),
    ("container_start_time_seconds", "gauge",
     "Start time of the container since unix epoch in seconds.",
     lambda s: s.started_at.timestamp()),
)  # fmt: skip
_OF_PODS_TOO = 11  # the families up to here are also given per pod, without container and image


class Stats:
    """Writes down what the sampler saw last."""

    def __init__(self, sampler: Sampler, node: str, folder: Path) -> None:
        self._sampler, self._node, self._folder = sampler, node, folder
        self._started = utc_now()

    def summary(self) -> Object:
        """Give /stats/summary."""
        disk = shutil.disk_usage(self._folder)
        node = self._whole_node()
        return {
            "node": {
                "nodeName": self._node,
                "startTime": rfc3339(self._started),
                **_cpu_and_memory(node, None),
                "fs": {
                    "time": rfc3339(node.at),
                    "availableBytes": disk.free,
                    "capacityBytes": disk.total,
                    "usedBytes": disk.used,
                },
            },
            "pods": [_pod_summary(samples) for samples in self._by_pod()],
        }

    def cadvisor(self) -> str:
        """Give /metrics/cadvisor, for containers and for pods as a whole."""
        lines: list[str] = []
        for i, (name, kind, text, value) in enumerate(_CADVISOR):
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            if i < _OF_PODS_TOO:
                for samples in self._by_pod():
                    total = sum(value(sample) for sample in samples)
                    lines.append(_cadvisor_line(name, samples[0], total, whole_pod=True))
            for sample in self._sampler.samples:
                lines.append(_cadvisor_line(name, sample, value(sample), whole_pod=False))
        return "\n".join([*lines, ""])

    def resource(self) -> str:
        """Give /metrics/resource, what `kubectl top` and autoscaling read."""
        node = self._whole_node()
        lines: list[str] = []
        for scope, help_text, rows in (
            ("container", "container", [(_labels(s, s.name), s.usage) for s in self._samples]),
            ("node", "node", [("", node)]),
            ("pod", "pod", [(_labels(g[0], ""), _total(g)) for g in self._by_pod()]),
        ):
            lines += _resource_family(
                f"{scope}_cpu_usage_seconds_total", "counter",
                f"[STABLE] Cumulative cpu time consumed by the {help_text} in core-seconds",
                ((labels, usage.cpu_ns / 1e9, usage.at) for labels, usage in rows),
            )  # fmt: skip
            lines += _resource_family(
                f"{scope}_memory_working_set_bytes", "gauge",
                f"[STABLE] Current working set of the {help_text} in bytes",
                ((labels, usage.memory_bytes, usage.at) for labels, usage in rows),
            )  # fmt: skip
        lines += _resource_family(
            "container_start_time_seconds", "gauge",
            "[STABLE] Start time of the container since unix epoch in seconds",
            ((_labels(s, s.name), s.started_at.timestamp(), None) for s in self._samples),
        )  # fmt: skip
        lines += _resource_family(
            "resource_scrape_error", "gauge",
            "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
            [("", 0, None)],
        )  # fmt: skip
        return "\n".join([*lines, ""])

    @property
    def _samples(self) -> list[Sample]:
        return self._sampler.samples

    def _by_pod(self) -> list[list[Sample]]:
        pods: dict[str, list[Sample]] = {}
        for sample in self._sampler.samples:
            pods.setdefault(sample.pod["uid"], []).append(sample)
        return list(pods.values())

    def _whole_node(self) -> Usage:
        return _sum_of([self._sampler.kubelet, *(sample.usage for sample in self._samples)])


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
        **_cpu_and_memory(_total(samples), None),
        "process_stats": {"process_count": sum(sample.processes for sample in samples)},
    }


def _cpu_and_memory(usage: Usage, limit_bytes: int | None) -> Object:
    at = rfc3339(usage.at)
    memory: Object = {"time": at}
    if limit_bytes is not None:
        memory["availableBytes"] = max(limit_bytes - usage.memory_bytes, 0)
    memory |= dict.fromkeys(("usageBytes", "workingSetBytes", "rssBytes"), usage.memory_bytes)
    return {
        "cpu": {
            "time": at,
            "usageNanoCores": usage.nano_cores,
            "usageCoreNanoSeconds": usage.cpu_ns,
        },
        "memory": memory,
    }


def _total(samples: list[Sample]) -> Usage:
    return _sum_of([sample.usage for sample in samples])


def _sum_of(usages: list[Usage]) -> Usage:
    return Usage(
        at=usages[0].at,
        cpu_ns=sum(usage.cpu_ns for usage in usages),
        nano_cores=sum(usage.nano_cores for usage in usages),
        memory_bytes=sum(usage.memory_bytes for usage in usages),
    )


def _cadvisor_line(name: str, sample: Sample, value: float, *, whole_pod: bool) -> str:
    pod = sample.pod
    path = f"/kubepods/pod{pod['uid']}"
    labels = {
        "container": "" if whole_pod else sample.name,
        "id": path if whole_pod else f"{path}/{sample.id}",
        "image": "" if whole_pod else sample.image,
        "name": "" if whole_pod else sample.id,
        "namespace": pod["namespace"],
        "pod": pod["name"],
    }
    text = ",".join(f'{label}="{word}"' for label, word in labels.items())
    return f"{name}{{{text}}} {value:.10g} {_milliseconds(sample.usage.at)}"


def _labels(sample: Sample, container: str) -> str:
    first = f'container="{container}",' if container else ""
    return f'{{{first}namespace="{sample.pod["namespace"]}",pod="{sample.pod["name"]}"}}'


def _resource_family(
    name: str, kind: str, text: str, rows: Iterable[tuple[str, float, datetime | None]]
) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value, at in rows:
        suffix = f" {_milliseconds(at)}" if at else ""
        lines.append(f"{name}{labels} {value:.15g}{suffix}")
    return lines


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
