"""One probe of one container: when to ask, what an answer means, what follows from it.

Ticks every period from the pod's admission, as the kubelet's probe workers do, and lives through
restarts of its container. Source:
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from lab_utils.controlplane.kubelet.checks import CheckFailed
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

    def reset(self) -> None:
        """Forget all answers: the container is a new one."""
        self._last, self._count = None, 0


@dataclass(frozen=True)
class ProbeActions:
    """How a probe sees its container and tells what it found."""

    target: Callable[[], Container | None]
    """The running container this probe is to ask now, if any."""
    check: Callable[[Container], Awaitable[None]]
    """Asks once; raises CheckFailed."""
    failed: Callable[[ProbeKind, str], None]
    """A single question failed, for this reason."""
    verdict: Callable[[ProbeKind, bool], None]
    """Enough answers in a row."""


class Probe:
    """Asks one container one question, for ever."""

    def __init__(self, kind: ProbeKind, spec: Object, actions: ProbeActions) -> None:
        self.kind = kind
        self._actions = actions
        self._period_s = float(spec.get("periodSeconds", 10))
        self._delay_s = float(spec.get("initialDelaySeconds", 0))
        self._streak = Streak(spec.get("successThreshold", 1), spec.get("failureThreshold", 3))
        self._trigger = asyncio.Event()
        self._asked = ""
        self._settled = False

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
        container = self._actions.target()
        if container is None:
            return
        if container.id != self._asked:
            self._asked, self._settled = container.id, False
            self._streak.reset()
        if self._settled or time.monotonic() - container.started_s < self._delay_s:
            return
        verdict = self._streak.add(await self._answer(container))
        if verdict is not None and self._actions.target() is container:
            # A startup probe has then done its work; a failed liveness probe waits for the restart.
            self._settled = self.kind is ProbeKind.STARTUP or (
                self.kind is ProbeKind.LIVENESS and not verdict
            )
            self._actions.verdict(self.kind, verdict)

    async def _answer(self, container: Container) -> bool:
        try:
            await self._actions.check(container)
        except CheckFailed as exc:
            if self._actions.target() is container:
                self._actions.failed(self.kind, str(exc))
            return False
        return True
