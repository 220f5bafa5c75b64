"""The probes of a pod: when to ask which container, what an answer means, what follows from it.

A probe ticks every period from the pod's admission, as the kubelet's probe workers do, and lives
through restarts of its container. The startup probe comes first and alone. Source:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes
"""

import asyncio
import contextlib
import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate

from lab_utils.controlplane.kubelet.checks import CheckFailed
from lab_utils.controlplane.kubelet.records import ContainerRecord
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.status import Object


class ProbeKind(StrEnum):
    """The three questions: has it started, can it take requests, is it still of use."""

    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"


@dataclass
class Streak:
    """Turns single answers into a verdict: so many in a row change it."""

    success_threshold: int = 1
    failure_threshold: int = 3
    _last: bool | None = None
    _count: int = 0

    def add(self, worked: bool) -> bool | None:
        """Take one answer; give the verdict, or None when the streak is still too short."""
        self._count = self._count + 1 if worked is self._last else 1
        self._last = worked
        threshold = self.success_threshold if worked else self.failure_threshold
        return worked if self._count >= threshold else None


_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)


@dataclass
class Tally:
    """How often a probe was answered and how soon, as `/metrics/probes` says it."""

    results: Counter[str] = field(default_factory=Counter)
    sum_s: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * len(_BUCKETS_S))

    def add(self, *, worked: bool, took_s: float) -> None:
        """Count one answer."""
        self.results["successful" if worked else "failed"] += 1
        self.sum_s += took_s
        self.counts[bisect_left(_BUCKETS_S, took_s)] += 1

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Give the upper ends in seconds, and how many answers came within each."""
        for bound_s, count in zip(_BUCKETS_S, accumulate(self.counts), strict=True):
            yield ("+Inf" if bound_s == math.inf else f"{bound_s:g}"), count


@dataclass(frozen=True)
class ProbeActions:
    """How the probes of a pod see its containers and tell what they found."""

    running: Callable[[ContainerRecord], Container | None]
    check: Callable[[Container, Object], Awaitable[None]]
    """Asks once, as a probe's spec says; raises CheckFailed."""
    failed: Callable[[ContainerRecord, ProbeKind, str], None]
    """A single question failed, for this reason."""
    verdict: Callable[[ContainerRecord, ProbeKind, bool], None]
    """Enough answers in a row."""


class Probe:
    """Asks one container one question, for ever."""

    def __init__(self, kind: ProbeKind, record: ContainerRecord, actions: ProbeActions) -> None:
        self._kind, self._record, self._actions = kind, record, actions
        self._spec: Object = record.spec[f"{kind}Probe"]
        self._period_s = float(self._spec.get("periodSeconds", 10))
        self._trigger = asyncio.Event()
        self._streak = Streak()
        self._asked: Container | None = None
        self._settled = False
        self.tally = Tally()

    def ask_now(self) -> None:
        """Do not wait for the next tick: the container has just started up."""
        self._trigger.set()

    async def run(self) -> None:
        """Ask on every tick until cancelled."""
        tick_s = time.monotonic()
        while True:
            await self._ask()
            now_s = time.monotonic()
            tick_s += self._period_s * (1 + (now_s - tick_s) // self._period_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._trigger.wait(), tick_s - now_s)
            self._trigger.clear()

    async def _ask(self) -> None:
        container = self._target()
        if container is None:
            return
        if container is not self._asked:
            self._asked, self._settled = container, False
            self._streak = Streak(
                self._spec.get("successThreshold", 1), self._spec.get("failureThreshold", 3)
            )
        age_s = time.monotonic() - container.started_s
        if self._settled or age_s < self._spec.get("initialDelaySeconds", 0):
            return
        verdict = self._streak.add(await self._answer(container))
        if verdict is not None and self._target() is container:
            # A startup probe has then done its work; a failed liveness probe waits for the restart.
            self._settled = self._kind is ProbeKind.STARTUP or (
                self._kind is ProbeKind.LIVENESS and not verdict
            )
            self._actions.verdict(self._record, self._kind, verdict)

    async def _answer(self, container: Container) -> bool:
        began_s, failure = time.monotonic(), None
        try:
            await self._actions.check(container, self._spec)
        except CheckFailed as exc:
            failure = str(exc)
        self.tally.add(worked=failure is None, took_s=time.monotonic() - began_s)
        if failure is not None and self._target() is container:
            self._actions.failed(self._record, self._kind, failure)
        return failure is None

    def _target(self) -> Container | None:
        due = self._record.started != (self._kind is ProbeKind.STARTUP)
        return self._actions.running(self._record) if due else None


class PodProbes:
    """Runs the probes of a pod's containers until stop()."""

    def __init__(self, records: Iterable[ContainerRecord], actions: ProbeActions) -> None:
        self._probes = {
            (record.name, kind): Probe(kind, record, actions)
            for record in records
            for kind in ProbeKind
            if f"{kind}Probe" in record.spec and not record.runs_to_end
        }
        self._tasks: dict[tuple[str, ProbeKind], asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin to ask."""
        self._tasks = {key: asyncio.create_task(p.run()) for key, p in self._probes.items()}

    def tallies(self) -> Iterator[tuple[str, str, Tally]]:
        """Give container, type and tally of each probe that has asked."""
        for (name, kind), probe in self._probes.items():
            if probe.tally.results:
                yield name, kind.capitalize(), probe.tally

    def has_started(self, record: ContainerRecord) -> None:
        """Ask at once whether a container is ready that has just started up."""
        if probe := self._probes.get((record.name, ProbeKind.READINESS)):
            probe.ask_now()

    def stop(self, *, but_readiness: bool = False) -> None:
        """Ask no more; a pod that ends is still asked whether it is ready."""
        for (_, kind), task in self._tasks.items():
            if not (but_readiness and kind is ProbeKind.READINESS):
                task.cancel()
