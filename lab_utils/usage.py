"""What the pods used: counters become rates, gaps stay gaps. Pure.

The figures of a worker's own `/metrics` come about once a second; the kubelet's summary, which
moves only every 10 to 15 s, is the cross-check.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
from prometheus_client.parser import text_string_to_metric_families

from lab_utils.clock import Clock
from lab_utils.tables import make_table
from lab_utils.watches import Gap

_CPU = "process_cpu_seconds_total"
_MEMORY = "lab_memory_bytes"
"""What counts against the limit, as the container's control group has it."""
_RESIDENT = "process_resident_memory_bytes"
"""The process's own figure, with the pages that it shares: where there is no control group."""
_GAUGES = (_MEMORY, _RESIDENT)
_PERIODS = "lab_cpu_periods_total"
_THROTTLED = "lab_cpu_throttled_periods_total"


@dataclass(frozen=True)
class Sample:
    """One look at one pod; counters is empty if it could not be read, and trouble says why."""

    perf_ns: int
    pod: str
    node: str
    role: str
    restarts: int
    ready: bool
    counters: dict[str, float] = field(default_factory=dict)
    trouble: str = ""


def parse_metrics(
    text: str, wanted: Collection[str] = (_CPU, _PERIODS, _THROTTLED, *_GAUGES)
) -> dict[str, float]:
    """Read series of a worker from Prometheus text: by default what the sampler needs.

    Raises:
        ValueError: It is not in Prometheus' text format.
    """
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
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
        memory_bytes = sample.counters.get(_MEMORY, sample.counters.get(_RESIDENT))
        row |= {"t_s": clock.at_s(sample.perf_ns), "memory_bytes": memory_bytes}
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
        if name in before.counters and name not in _GAUGES
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


def find_gaps(samples: Iterable[Sample]) -> Iterator[Gap]:
    """Find the times in which a pod could not be read: from the last look that went well."""
    seen_ns: dict[str, int] = {}
    troubled: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda one: one.perf_ns):
        if not sample.counters:
            troubled.setdefault(sample.pod, sample)
            continue
        if first := troubled.pop(sample.pod, None):
            yield _gap(first, seen_ns, sample.perf_ns)
        seen_ns[sample.pod] = sample.perf_ns
    for first in troubled.values():
        yield _gap(first, seen_ns, None)


def _gap(first: Sample, seen_ns: dict[str, int], end_ns: int | None) -> Gap:
    start_ns = seen_ns.get(first.pod, first.perf_ns)
    return Gap(start_ns, end_ns, f"usage {first.pod}", first.trouble)


def parse_summary(text: str, namespace: str) -> Iterator[dict[str, Any]]:
    """Read the pods of a namespace from a kubelet's `/stats/summary`.

    Yields:
        pod, node, moment (when the kubelet looked), cpu_cores, memory_bytes.
    """
    summary = json.loads(text)
    for pod in summary.get("pods") or []:
        cpu, memory = pod.get("cpu") or {}, pod.get("memory") or {}
        if pod["podRef"]["namespace"] == namespace and "usageNanoCores" in cpu:
            yield {
                "pod": pod["podRef"]["name"],
                "node": summary["node"]["nodeName"],
                "moment": cpu["time"],
                "cpu_cores": cpu["usageNanoCores"] / 1e9,
                "memory_bytes": memory.get("workingSetBytes"),
            }


def tabulate_kubelet(rows: Iterable[dict[str, Any]], clock: Clock) -> pd.DataFrame:
    """Put the kubelets' figures on a run's clock, each once however often it was read.

    Args:
        rows: As parse_summary() gives them, with the role of the pod.
        clock: The run's clock.
    """
    once = {(row["pod"], row["moment"]): row for row in rows}
    placed = [
        row | {"t_s": clock.of_wall(datetime.fromisoformat(row["moment"]))} for row in once.values()
    ]
    return make_table("kubelet", sorted(placed, key=lambda row: row["t_s"]))
