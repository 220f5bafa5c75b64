"""What nodes and pods use: the metrics server, read by `kubectl top` and by autoscaling.

Reads every kubelet's /metrics/resource each 15 s and keeps two readings of everything: CPU use is
the mean between them, as of the later one; memory is the later one's working set. The kubelet takes
its readings every 10 s, so a figure is up to half a minute old, as on any cluster. A node that does
not answer has no metrics. Never stores anything, never asks a pod.
Source: https://github.com/kubernetes-sigs/metrics-server (0.7 and 0.8, --metric-resolution=15s)
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp

from lab_utils.controlplane.quantities import canonical_quantity
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import go_duration, rfc3339

RESOURCE_METRICS = "metrics/resource"
_FRESH_S = 10.0
"""A container that has just started is measured from its start, once it is as old as this."""
_LINE = re.compile(r"^(container|node)_(\w+?)(?:\{(.*)\})? (\S+)(?: (\d+))?$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_CPU, _MEMORY, _START = "cpu_usage_seconds_total", "memory_working_set_bytes", "start_time_seconds"
_FAILURES = (ApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""What a kubelet that is away, or talks nonsense, comes to."""

Fetch = Callable[[str, str], Awaitable[str]]
"""Reads a path of a node's kubelet as text."""
_Part = tuple[str, str, str]
"""Namespace, pod and container; three times "" is the node."""
_NODE: _Part = ("", "", "")


@dataclass(frozen=True)
class Reading:
    """One reading: CPU seconds used since the start, and bytes in use."""

    at: datetime
    cpu_s: float
    memory_bytes: int
    started: datetime | None = None


@dataclass(frozen=True)
class Use:
    """What was used between two readings."""

    at: datetime
    window_s: float
    nano_cores: int
    memory_bytes: int

    @classmethod
    def between(cls, before: Reading, last: Reading) -> "Use":
        """Take the mean of CPU, and the last of memory."""
        window_s = (last.at - before.at).total_seconds()
        rate = max(0.0, last.cpu_s - before.cpu_s) / window_s
        return cls(last.at, window_s, round(rate * 1e9), last.memory_bytes)

    @property
    def usage(self) -> Object:
        """Give the quantities."""
        cpu = canonical_quantity(f"{self.nano_cores}n")
        return {"cpu": cpu, "memory": canonical_quantity(f"{self.memory_bytes // 1024}Ki")}

    @property
    def times(self) -> Object:
        """Give when and for how long it was measured."""
        return {"timestamp": rfc3339(self.at), "window": go_duration(self.window_s)}


class MetricsServer:
    """Measures between start() and stop(); answers from what it has."""

    def __init__(self, registry: Registry, fetch: Fetch, resolution_s: float) -> None:
        self._registry, self._fetch, self._resolution_s = registry, fetch, resolution_s
        self._readings: dict[str, dict[_Part, tuple[Reading, Reading | None]]] = {}

    def start(self) -> None:
        """Begin to read all kubelets, again and again."""
        self._task = asyncio.create_task(self._run(), name="metrics")

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self.measure()
            await asyncio.sleep(self._resolution_s)

    async def measure(self) -> None:
        """Read all kubelets once."""
        nodes = [node["metadata"]["name"] for node in self._registry.list("Node")]
        await asyncio.gather(*map(self._scrape, nodes))
        for gone in self._readings.keys() - nodes:
            del self._readings[gone]

    async def objects(self, kind: str) -> list[Object]:
        """Give all NodeMetrics or PodMetrics, without kind and apiVersion."""
        if kind == "NodeMetrics":
            found = [self._node(node) for node in self._registry.list("Node")]
        else:
            found = [self._pod(pod) for pod in self._registry.list("Pod")]
        return [one for one in found if one is not None]

    def of_pod(self, namespace: str, name: str) -> Object | None:
        """Give the PodMetrics of a pod, None while there are none."""
        pod = self._registry.find("Pod", namespace, name)
        return self._pod(pod) if pod is not None else None

    async def _scrape(self, node: str) -> None:
        old = self._readings.pop(node, {})
        with contextlib.suppress(*_FAILURES):
            async with asyncio.timeout(0.9 * self._resolution_s):
                read = parse(await self._fetch(node, RESOURCE_METRICS))
            self._readings[node] = {
                part: (last, self._before(last, old.get(part))) for part, last in read.items()
            }

    def _before(self, last: Reading, old: tuple[Reading, Reading | None] | None) -> Reading | None:
        """Choose what a reading is compared with; None while there is nothing to compare."""
        started = last.started or datetime.min.replace(tzinfo=UTC)
        if old is None or started >= old[0].at:
            is_fresh = _FRESH_S <= (last.at - started).total_seconds() < self._resolution_s
            return Reading(started, 0.0, 0) if is_fresh else None
        latest, earlier = old
        return latest if last.at > latest.at else earlier

    def _use(self, node: str, part: _Part) -> Use | None:
        last, before = self._readings.get(node, {}).get(part, (None, None))
        return Use.between(before, last) if before and last and last.at > before.at else None

    def _node(self, node: Object) -> Object | None:
        use = self._use(node["metadata"]["name"], _NODE)
        if use is None:
            return None
        return {"metadata": self._metadata(node), **use.times, "usage": use.usage}

    def _pod(self, pod: Object) -> Object | None:
        metadata, spec = pod["metadata"], pod["spec"]
        place, names = (metadata["namespace"], metadata["name"]), _containers(pod)
        uses = [self._use(spec.get("nodeName", ""), (*place, name)) for name in names]
        measured = [use for use in uses if use is not None]
        if not measured or len(measured) < len(names):
            return None
        first = min(measured, key=lambda use: use.at)
        parts = [{"name": n, "usage": use.usage} for n, use in zip(names, measured, strict=True)]
        return {"metadata": self._metadata(pod), **first.times, "containers": parts}

    def _metadata(self, obj: Object) -> Object:
        """Give an object's name and labels, and as its creation the time of the answer."""
        kept = {key: obj["metadata"][key] for key in ("name", "namespace", "labels")
                if key in obj["metadata"]}  # fmt: skip
        return kept | {"creationTimestamp": rfc3339(self._registry.clock())}


def _containers(pod: Object) -> list[str]:
    """Name the containers that run now: what has ended is not measured any more."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return [one["name"] for one in statuses if "running" in (one.get("state") or {})]


def parse(text: str) -> dict[_Part, Reading]:
    """Read the text of /metrics/resource; what has no time of its own or no CPU is left out."""
    values: dict[_Part, dict[str, tuple[float, str]]] = {}
    for scope, name, labels, value, at in _LINE.findall(text):
        given = dict(_LABEL.findall(labels))
        place = (given.get("namespace", ""), given.get("pod", ""), given.get("container", ""))
        part = place if scope == "container" else _NODE
        values.setdefault(part, {})[name] = (float(value), at)
    return {
        part: _reading(found) for part, found in values.items() if {_CPU, _MEMORY} <= found.keys()
    }


def _reading(found: dict[str, tuple[float, str]]) -> Reading:
    (cpu_s, at_ms), (memory, _) = found[_CPU], found[_MEMORY]
    epoch = datetime.fromtimestamp(0, UTC)
    at = epoch + timedelta(milliseconds=int(at_ms))
    start = found.get(_START)
    return Reading(at, cpu_s, int(memory), epoch + timedelta(seconds=start[0]) if start else None)
