"""The end of a container: preStop hook, its turn, SIGTERM, grace period, SIGKILL.

Sidecars are the last of what they serve: when the pod ends they wait for all that come after them.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
"""

import asyncio
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab_utils.controlplane.kubelet.checks import CheckFailed
from lab_utils.controlplane.kubelet.hooks import run_hook
from lab_utils.controlplane.kubelet.report import Reporter
from lab_utils.controlplane.kubelet.runtime import Container, Runtime, poll_until
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.status import Object

_FORCED_GRACE_S = 1.0
_LEAST_GRACE_S = 2.0  # the kubelet's minimumGracePeriodInSeconds, after a hook or a wait


@dataclass(frozen=True)
class Ending:
    """How one container is to be ended."""

    hook: Object | None
    grace_s: Callable[[], float]
    """Asked again and again, as it may be shortened meanwhile."""
    hook_failed: Callable[[], None]
    is_its_turn: Callable[[], bool]
    """Whether those that go before it, as containers do before their sidecars, have ended."""


class Stopper:
    """Ends the containers of one pod."""

    def __init__(self, runtime: Runtime, report: Reporter, slots: Mapping[str, Slot]) -> None:
        self._runtime, self._report, self._slots = runtime, report, slots
        self.ends_all = False
        """Whether the pod as a whole comes to its end."""

    async def stop(self, slot: Slot, own_grace_s: float | None) -> None:
        """End a container; a probe may give it a grace period of its own, while the pod lives."""
        if slot.container is None:
            return

        def grace_s() -> float:
            if own_grace_s is None:
                return self._grace_s()
            return min(own_grace_s, self._grace_s()) if self._report.is_to_go else own_grace_s

        ending = Ending(
            hook=slot.record.spec.get("lifecycle", {}).get("preStop"),
            grace_s=grace_s,
            hook_failed=lambda: slot.event("Warning", "FailedPreStopHook", "PreStopHook failed"),
            is_its_turn=lambda: self._is_turn_of(slot),
        )
        await stop_container(self._runtime, slot.container, ending)

    def _grace_s(self) -> float:
        if self._report.gone:
            return _FORCED_GRACE_S
        pod = self._report.pod
        given = pod["metadata"].get("deletionGracePeriodSeconds")
        return float(
            pod["spec"].get("terminationGracePeriodSeconds", 30) if given is None else given
        )

    def _is_turn_of(self, slot: Slot) -> bool:
        if not (self.ends_all and slot.record.is_sidecar):
            return True
        slots = list(self._slots.values())
        return not any(other.record.running for other in slots[slots.index(slot) + 1 :])


async def stop_container(runtime: Runtime, container: Container, ending: Ending) -> None:
    """End a container and wait until it has; one whose hook failed is stopped all the same."""
    began_s = least_s = time.monotonic()

    def is_over() -> bool:
        late = time.monotonic() >= max(began_s + ending.grace_s(), least_s)
        return late or runtime.has_ended(container)

    if ending.hook and (grace_s := ending.grace_s()) > 0:
        try:
            async with asyncio.timeout(grace_s):
                await run_hook(runtime, container, ending.hook)
        except (CheckFailed, TimeoutError):
            ending.hook_failed()
        least_s = time.monotonic() + _LEAST_GRACE_S
    if not ending.is_its_turn():
        await poll_until(lambda: ending.is_its_turn() or is_over())
        least_s = time.monotonic() + _LEAST_GRACE_S
    runtime.signal(container, signal.SIGTERM)
    await poll_until(is_over)
    runtime.kill(container)
    await poll_until(lambda: runtime.has_ended(container))
