"""The probes of one pod: which question is put to which container when.

The startup probe comes first and alone; readiness goes on while the pod ends, the others do not.
"""

import asyncio
from collections.abc import Callable

from lab_utils.controlplane.kubelet.checks import check
from lab_utils.controlplane.kubelet.podstatus import ContainerRecord
from lab_utils.controlplane.kubelet.probes import Probe, ProbeActions, ProbeKind
from lab_utils.controlplane.kubelet.runtime import Container, Runtime

_FIELDS = {
    ProbeKind.STARTUP: "startupProbe",
    ProbeKind.READINESS: "readinessProbe",
    ProbeKind.LIVENESS: "livenessProbe",
}


class PodProbes:
    """Runs the probes of a pod's containers from admission until stop()."""

    def __init__(
        self,
        runtime: Runtime,
        running: Callable[[str], Container | None],
        failed: Callable[[ContainerRecord, ProbeKind, str], None],
        verdict: Callable[[ContainerRecord, ProbeKind, bool], None],
    ) -> None:
        self._runtime, self._running = runtime, running
        self._failed, self._verdict = failed, verdict
        self._probes: dict[tuple[str, ProbeKind], Probe] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = False

    def start(self, records: list[ContainerRecord], pod_ip: str) -> None:
        """Begin to ask all containers that have probes."""
        for record in (record for record in records if not record.is_init):
            for kind, name in _FIELDS.items():
                if name in record.spec:
                    probe = self._make(record, kind, pod_ip)
                    self._probes[record.name, kind] = probe
                    self._tasks.append(asyncio.create_task(probe.run()))

    def has_started(self, record: ContainerRecord) -> None:
        """Ask at once whether a container is ready that has just started up."""
        if probe := self._probes.get((record.name, ProbeKind.READINESS)):
            probe.ask_now()

    def pod_ends(self) -> None:
        """Go on with readiness only."""
        self._ending = True

    def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    def _make(self, record: ContainerRecord, kind: ProbeKind, pod_ip: str) -> Probe:
        spec = record.spec[_FIELDS[kind]]

        def target() -> Container | None:
            if self._ending and kind is not ProbeKind.READINESS:
                return None
            due = record.started != (kind is ProbeKind.STARTUP)
            return self._running(record.name) if due else None

        async def ask(container: Container) -> None:
            await check(spec, container, record.spec, pod_ip, self._runtime)

        actions = ProbeActions(
            target=target,
            check=ask,
            failed=lambda kind, message: self._failed(record, kind, message),
            verdict=lambda kind, worked: self._verdict(record, kind, worked),
        )
        return Probe(kind, spec, actions)
