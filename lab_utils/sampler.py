"""The witness of a run: looks at pods once a second and follows what changes in the cluster.

Each pod's own `/metrics` are read through the API server's pod proxy; pods, EndpointSlices, nodes
and Events are watched. Survives a cluster that does not answer: what could not be seen is a gap.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import pandas as pd

from lab_utils.background import Background
from lab_utils.clock import Clock
from lab_utils.conditions import is_ready
from lab_utils.states import ready_urls, role_of, tabulate_events, tabulate_gaps, tabulate_states
from lab_utils.units import parse_bytes, parse_cores
from lab_utils.usage import (
    Sample,
    find_gaps,
    parse_metrics,
    parse_summary,
    tabulate_kubelet,
    tabulate_usage,
)
from lab_utils.watches import Change, Object, Source, Watch

_LEAVE_S = 0.8  # the sampler is a witness: it must not hold up the end of a run
_KINDS = ("pods", "endpointslices", "nodes", "events")
_KUBELET_PERIOD_S = 5.0
_SUMMARY = "/stats/summary"


class Observed(Source, Protocol):
    """What the sampler needs of a cluster."""

    namespace: str

    def proxy_pod(self, pod: str, port: int | str, path: str) -> str:
        """Ask a pod for a path through the API server."""

    def proxy_node(self, node: str, path: str) -> str:
        """Ask a node's kubelet for a path through the API server."""


class Sampler(Background):
    """Observes a namespace in threads while its context lasts.

    Args:
        cluster: The namespace to look at.
        period_s: Time between two looks, in seconds.
        port: Where the pods serve `/metrics`.

    Attributes:
        limits: By role, the limits of its pods: {"cpu_cores": 0.1, "memory_bytes": 67108864}.
    """

    def __init__(self, cluster: Observed, *, period_s: float = 1.0, port: int = 8000) -> None:
        super().__init__("usage", _LEAVE_S)
        self._cluster, self._period_s, self._port = cluster, period_s, port
        self._pods: dict[str, Object] = {}
        self._samples: list[Sample] = []
        self._changes: list[Change] = []
        self._kubelet: list[dict[str, Any]] = []
        self._reading: set[str] = set()
        self._left_ns = 0
        self.limits: dict[str, dict[str, float]] = {}

    def _enter(self) -> None:
        self._watches = [Watch(self._cluster, kind, self._take) for kind in _KINDS]
        for watch in self._watches:
            watch.start()

    def _leave(self, *, late: bool) -> None:
        self._left_ns = time.perf_counter_ns()
        for watch in self._watches:
            watch.stop()

    def tables(self, clock: Clock) -> dict[str, pd.DataFrame]:
        """Give usage, kubelet, states, events and gaps so far, on a run's clock."""
        # Copies: threads that wait for a cluster that hangs may still add to the lists.
        samples, changes = list(self._samples), list(self._changes)
        events = [change.object for change in changes if _is_news(change)]
        gaps = [*find_gaps(samples), *(gap for watch in self._watches for gap in watch.gaps)]
        return {
            "usage": tabulate_usage(samples, clock),
            "kubelet": tabulate_kubelet(list(self._kubelet), clock),
            "states": tabulate_states([c for c in changes if c.kind != "events"], clock),
            "events": tabulate_events(events, clock),
            "gaps": tabulate_gaps(gaps, clock, self._left_ns or time.perf_counter_ns()),
        }

    def endpoints(self, service: str) -> list[str]:
        """Give the base URLs of the Ready pods behind a Service, as far as is known by now."""
        slices = next(watch for watch in self._watches if watch.kind == "endpointslices")
        return ready_urls(slices.objects, service)

    def _take(self, change: Change) -> None:
        self._changes.append(change)
        if change.kind == "pods":
            name = change.object["metadata"]["name"]
            if change.deleted:
                self._pods.pop(name, None)
            else:
                self._pods[name] = change.object

    def _run(self) -> None:
        due_s = kubelet_due_s = time.monotonic()
        while not self._stopped.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + self._period_s, time.monotonic())
            pods = [pod for pod in list(self._pods.values()) if role_of(pod)]  # not the load's own
            for pod in pods:
                self._look_at(pod)
            if pods and time.monotonic() >= kubelet_due_s:
                kubelet_due_s = time.monotonic() + _KUBELET_PERIOD_S
                for node in {pod["spec"].get("nodeName", "") for pod in pods} - {""}:
                    self._once(f"node {node}", partial(self._ask_kubelet, node))

    def _once(self, name: str, ask: Callable[[], None]) -> bool:
        """Ask in a thread of its own, so that one that hangs does not blind the sampler to others.

        Returns:
            False if it has not answered since it was asked last.
        """
        if name in self._reading:
            return False
        self._reading.add(name)

        def run() -> None:
            try:
                ask()
            finally:
                self._reading.discard(name)

        threading.Thread(target=run, name="usage-read", daemon=True).start()
        return True

    def _look_at(self, pod: Object) -> None:
        if limits := pod["spec"]["containers"][0].get("resources", {}).get("limits"):
            self.limits[role_of(pod)] = _parse_limits(limits)
        if not self._once(pod["metadata"]["name"], partial(self._read, pod)):
            self._keep(pod, time.perf_counter_ns(), {}, "no answer yet")

    def _read(self, pod: Object) -> None:
        asked_ns = time.perf_counter_ns()
        counters, trouble = {}, ""
        try:
            text = self._cluster.proxy_pod(pod["metadata"]["name"], self._port, "/metrics")
            counters = parse_metrics(text)
        except Exception as exc:  # a witness goes on whatever the cluster does; it is a gap
            trouble = str(exc)
        self._keep(pod, (asked_ns + time.perf_counter_ns()) // 2, counters, trouble)

    def _keep(self, pod: Object, perf_ns: int, counters: dict[str, float], trouble: str) -> None:
        statuses = pod.get("status", {}).get("containerStatuses") or []
        self._samples.append(
            Sample(
                perf_ns,
                pod["metadata"]["name"],
                pod["spec"].get("nodeName", ""),
                role_of(pod),
                sum(status.get("restartCount", 0) for status in statuses),
                is_ready(pod),
                counters,
                trouble,
            )
        )

    def _ask_kubelet(self, node: str) -> None:
        try:
            text = self._cluster.proxy_node(node, _SUMMARY)
            for row in parse_summary(text, self._cluster.namespace):
                role = role_of(self._pods.get(row["pod"], {"metadata": {}}))
                self._kubelet.append(row | {"role": role})
        except Exception:  # noqa: S110 - a cross-check that is not to be had is not there
            pass


def _is_news(change: Change) -> bool:
    """Tell an Event that happened while somebody watched from one of the past."""
    return change.kind == "events" and not change.listed and not change.deleted


def _parse_limits(limits: dict[str, Any]) -> dict[str, float]:
    parsed: dict[str, float] = {}
    if "cpu" in limits:
        parsed["cpu_cores"] = parse_cores(limits["cpu"])
    if "memory" in limits:
        parsed["memory_bytes"] = parse_bytes(limits["memory"])
    return parsed
