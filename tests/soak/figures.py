"""What a soak has counted and measured, and how it says so."""

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

from tests.soak.laws import growth_pct
from tests.soak.machine import BYTES, CORES, Footprint

WARM_S = 600.0
"""Before this, caches fill and code is loaded."""
GROWTH_PCT = 5.0
_HANDLES = 8
"""Pools keep the connections that a burst has opened; a leak of one handle in four chapters is more
than this in half an hour."""


@dataclass
class Figures:
    """Counts of one soak, over all its chapters."""

    seed: int
    seconds: float = 0.0
    chapters: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    forgotten: int = 0
    requests_ok: int = 0
    requests_failed: int = 0
    settled_s: list[float] = field(default_factory=list)
    endpoint_lags_s: list[float] = field(default_factory=list)
    most_of_limits: dict[str, float] = field(default_factory=dict)
    footprints: list[tuple[float, dict[str, Footprint]]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def grown(self, steady_kubelet: str) -> list[str]:
        """Say which part of the cluster has grown; killed kubelets begin anew and do not count."""
        parts = ("main", f"kubelet {steady_kubelet}")
        return [line for part in parts for line in self._growth_of(part)]

    def _growth_of(self, part: str) -> list[str]:
        samples = [(at_s, found[part]) for at_s, found in self.footprints if part in found]
        memory = growth_pct([(at_s, one.rss_mib) for at_s, one in samples], after_s=WARM_S)
        handles = [one.handles for at_s, one in samples if at_s >= WARM_S]
        third = len(handles) // 3
        found = []
        if memory is not None and memory > GROWTH_PCT:
            found.append(f"resident memory of {part} grew by {memory:.1f} % after {WARM_S:g} s")
        if third and median(handles[-third:]) - median(handles[:third]) > _HANDLES:
            found.append(f"open file handles of {part} grew from {handles[0]} to {handles[-1]}")
        return found

    def lines(self) -> list[str]:
        """Write the figures for people."""
        total = sum(self.events.values())
        return [
            f"seed {self.seed}, {self.seconds / 60:.1f} min, {self.chapters} chapters",
            f"operations: {sum(self.operations.values())} ({_listed(self.operations)})",
            f"watch events compared: {total} ({_listed(self.events)}) over {self.streams} streams, "
            f"{self.forgotten} of them asked for a version that is forgotten",
            f"requests: {self.requests_ok} ok, {self.requests_failed} failed while things broke",
            f"convergence: {_spread(self.settled_s)}",
            f"endpoint outlives readiness: {_spread(self.endpoint_lags_s)}",
            f"of its limit in use at most: CPU {100 * self.most_of_limits.get(CORES, 0):.0f} %, "
            f"memory {100 * self.most_of_limits.get(BYTES, 0):.0f} %",
            *self._footprint_lines(),
            f"violations: {len(self.violations)}",
            *(f"  {line}" for line in self.violations),
        ]

    def _footprint_lines(self) -> list[str]:
        if not self.footprints:
            return []
        first, last = self.footprints[0][1], self.footprints[-1][1]
        return [
            f"{part}: {first[part].rss_mib:.1f} -> {last[part].rss_mib:.1f} MiB resident "
            f"({self._after_warmup(part)}), {first[part].handles} -> {last[part].handles} handles"
            for part in first.keys() & last.keys()
        ]

    def _after_warmup(self, part: str) -> str:
        samples = [(at_s, one[part].rss_mib) for at_s, one in self.footprints if part in one]
        grown = growth_pct(samples, after_s=WARM_S)
        return "too short to tell growth" if grown is None else f"{grown:+.1f} % after 10 min"

    def to_dict(self) -> dict[str, Any]:
        """Give all of it for a program to read."""
        counts = {"operations": dict(self.operations), "events": dict(self.events)}
        return asdict(replace(self, operations=Counter(), events=Counter())) | counts


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _spread(values: list[float]) -> str:
    if not values:
        return "not seen"
    return f"median {median(values):.2f} s, at most {max(values):.2f} s, {len(values)} times"
