"""What containers use, sampled as seldom as a real kubelet does: every 10 seconds.

Everything the statistics endpoints say comes from the same samples, so they agree.
"""

import asyncio
import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.cgroup import Limits
from lab_utils.controlplane.kubelet.quota import CpuStat
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import utc_now

_PERIOD_S = 10.0
_LOOK_S = 1.0


@dataclass(frozen=True)
class Usage:
    """What some processes used until a moment, and how fast lately."""

    at: datetime
    cpu_ns: int
    nano_cores: int
    memory_bytes: int


@dataclass(frozen=True)
class Sample:
    """One container at one moment."""

    pod: Object
    name: str
    id: str
    image: str
    started_at: datetime
    usage: Usage
    user_share: float
    stat: CpuStat
    limits: Limits
    peak_bytes: int
    processes: int
    oom_kills: int


class Sampler:
    """Keeps the latest sample of every running container, and of the kubelet itself.

    As a real kubelet: a container is sampled when it is first seen, then every 10 s on its own.
    """

    def __init__(self) -> None:
        self.kubelet = _usage(None, utc_now(), 0, 0)
        self._latest: dict[str, Sample] = {}

    @property
    def samples(self) -> list[Sample]:
        """Give the latest sample of each container."""
        return list(self._latest.values())

    async def run(self, workers: Callable[[], Iterable[PodWorker]]) -> None:
        """Sample what is due until cancelled."""
        while True:
            self.sample(workers())
            await asyncio.sleep(_LOOK_S)

    def sample(self, workers: Iterable[PodWorker]) -> None:
        """Sample every container whose last sample is too old, or that has none yet."""
        now = utc_now()
        slots = [(worker.pod, slot) for worker in workers for slot in worker.slots.values()]
        self._latest = {
            slot.container.id: self._sample(pod, slot, slot.container, now)
            for pod, slot in slots
            if slot.container
        }
        if _is_old(self.kubelet, now):
            pid = os.getpid()
            used, held = proc.cpu_ns(pid) or 0, proc.memory_bytes(pid)
            self.kubelet = _usage(self.kubelet, now, used, held)

    def _sample(self, pod: Object, slot: Slot, container: Container, now: datetime) -> Sample:
        before = self._latest.get(container.id)
        if before and not _is_old(before.usage, now):
            return before
        cgroup = container.cgroup
        past = before.usage if before else None
        return Sample(
            pod=pod["metadata"],
            name=slot.record.name,
            id=container.id,
            image=slot.record.image,
            started_at=container.started_at,
            usage=_usage(past, now, cgroup.total_ns, cgroup.memory_bytes),
            user_share=proc.user_share(cgroup.leader),
            stat=dataclasses.replace(cgroup.stat),
            limits=cgroup.limits,
            peak_bytes=cgroup.peak_bytes,
            processes=len(cgroup.pids),
            oom_kills=int(cgroup.oom_killed),
        )


def _is_old(usage: Usage, now: datetime) -> bool:
    return (now - usage.at).total_seconds() >= _PERIOD_S


def _usage(before: Usage | None, now: datetime, cpu_ns: int, memory_bytes: int) -> Usage:
    rate = 0.0
    if before is not None:
        rate = (cpu_ns - before.cpu_ns) / max((now - before.at).total_seconds(), 1.0)
    return Usage(now, cpu_ns, int(rate), memory_bytes)
