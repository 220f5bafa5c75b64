"""What containers use, sampled as seldom as a real kubelet does: every 10 seconds.

Everything the statistics endpoints say comes from the same samples, so they agree.
"""

import asyncio
import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.cgroup import Limits
from lab_utils.controlplane.kubelet.quota import CpuStat
from lab_utils.controlplane.kubelet.records import ContainerRecord
from lab_utils.controlplane.kubelet.runtime import Container
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import utc_now

_PERIOD_S = 10.0
_LOOK_S = 1.0


@dataclass(frozen=True)
class Usage:
    """What some processes used until a moment, and how fast lately."""

    at: datetime
    cpu_ns: int = 0
    memory_bytes: int = 0
    nano_cores: int = 0

    @property
    def is_old(self) -> bool:
        """Tell whether it is time for the next sample."""
        return (utc_now() - self.at).total_seconds() >= _PERIOD_S

    def next(self, cpu_ns: int, memory_bytes: int) -> "Usage":
        """Give the sample that follows this one."""
        now = utc_now()
        rate = (cpu_ns - self.cpu_ns) / max((now - self.at).total_seconds(), 1.0)
        return Usage(now, cpu_ns, memory_bytes, int(rate))


def sum_of(usages: Sequence[Usage]) -> Usage:
    """Add up; the time is the first one's."""
    return Usage(
        at=usages[0].at,
        cpu_ns=sum(usage.cpu_ns for usage in usages),
        memory_bytes=sum(usage.memory_bytes for usage in usages),
        nano_cores=sum(usage.nano_cores for usage in usages),
    )


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
        self.kubelet = Usage(utc_now())
        self._latest: dict[str, Sample] = {}

    @property
    def samples(self) -> list[Sample]:
        """Give the latest sample of each container."""
        return list(self._latest.values())

    async def run(self, workers: Callable[[], Iterable[PodWorker]]) -> None:
        """Sample every second what is due until cancelled."""
        while True:
            self._latest = {
                slot.container.id: self._sample(worker.pod, slot.record, slot.container)
                for worker in workers()
                for slot in worker.slots.values()
                if slot.container
            }
            if self.kubelet.is_old:
                pid = os.getpid()
                self.kubelet = self.kubelet.next(proc.cpu_ns(pid) or 0, proc.memory_bytes(pid))
            await asyncio.sleep(_LOOK_S)

    def _sample(self, pod: Object, record: ContainerRecord, container: Container) -> Sample:
        before, cgroup = self._latest.get(container.id), container.cgroup
        if before and not before.usage.is_old:
            return before
        cpu_ns, memory_bytes = cgroup.total_ns, cgroup.memory_bytes
        first = Usage(utc_now(), cpu_ns, memory_bytes)
        return Sample(
            pod=pod["metadata"],
            name=record.name,
            id=container.id,
            image=record.image,
            started_at=container.started_at,
            usage=before.usage.next(cpu_ns, memory_bytes) if before else first,
            user_share=proc.user_share(cgroup.leader),
            stat=dataclasses.replace(cgroup.stat),
            limits=cgroup.limits,
            peak_bytes=cgroup.peak_bytes,
            processes=cgroup.processes,
            oom_kills=int(cgroup.oom_killed),
        )
