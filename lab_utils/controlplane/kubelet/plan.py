"""What to do next with the containers of a pod: pure decisions, no clock and no process.

Init containers run one after the other, then all others at once; an ended container is started
again as restartPolicy says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lab_utils.controlplane.kubelet.podstatus import ContainerRecord


@dataclass(frozen=True)
class Plan:
    """Containers to start as soon as they may; finished when there is nothing left to do."""

    start: tuple[ContainerRecord, ...] = ()
    finished: bool = False


def make_plan(policy: str, records: Sequence[ContainerRecord]) -> Plan:
    """Decide from the state of all containers of a pod.

    Args:
        policy: restartPolicy of the pod: Always, OnFailure or Never.
        records: Init containers, then containers, in the order of the spec.

    Returns:
        What to start; back-off is the caller's.
    """
    for record in (record for record in records if record.is_init):
        if record.succeeded:
            continue
        if record.running:
            return Plan()
        if record.ended and policy == "Never":
            return Plan(finished=True)
        return Plan(start=(record,))
    main = [record for record in records if not record.is_init]
    start = tuple(r for r in main if not r.running and _is_to_run(policy, r))
    return Plan(start, finished=not start and not any(record.running for record in main))


def _is_to_run(policy: str, record: ContainerRecord) -> bool:
    if record.ended is None or policy == "Always":
        return True
    return policy == "OnFailure" and record.ended["exitCode"] != 0
