"""What the pods of a Job have come to: at work, succeeded, failed, and each counted only once.

Hides the finalizer that keeps an ended pod until it is counted, and the uids that are being
counted. Decides nothing.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lab_utils.controlplane.controllers.jobindexes import (
    index_of,
    indexes_of,
    is_indexed,
    read_indexes,
)
from lab_utils.controlplane.controllers.jobpolicy import FAIL_INDEX, IGNORE, judge
from lab_utils.controlplane.controllers.objects import (
    condition_of,
    is_finished,
    is_ready,
    is_terminating,
)
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339

FINALIZER = "batch.kubernetes.io/job-tracking"
_FIRST_DELAY_S, _LONGEST_DELAY_S = 10.0, 600.0


@dataclass(frozen=True)
class Tally:
    """The pods of a Job by what has become of them."""

    job: Object
    pods: list[Object]

    @property
    def active(self) -> list[Object]:
        """Give the pods that run or will run."""
        return [pod for pod in self.pods if not is_finished(pod) and not is_terminating(pod)]

    @property
    def ready(self) -> list[Object]:
        """Give the active pods that are ready."""
        return [pod for pod in self.active if is_ready(pod)]

    @property
    def terminating(self) -> int:
        """Count the pods that are on their way out."""
        return sum(is_terminating(pod) and not is_finished(pod) for pod in self.pods)

    @property
    def tracked(self) -> list[Object]:
        """Give the pods that wait to be counted."""
        return [pod for pod in self.pods if FINALIZER in (pod["metadata"].get("finalizers") or ())]

    @property
    def succeeded(self) -> list[Object]:
        """Give the pods that succeeded and wait to be counted."""
        return [pod for pod in self.tracked if _phase(pod) == "Succeeded"]

    @property
    def ended(self) -> list[Object]:
        """Give the pods that nobody needs to wait for any more, whether they count or not."""
        return [*self.succeeded, *(pod for pod in self.tracked if self.has_failed(pod))]

    @property
    def failed(self) -> list[Object]:
        """Give the pods whose failure waits to be counted.

        A pod that is being deleted counts as failed, unless failed pods alone are replaced.
        """
        lost = [pod for pod in self.tracked if self.has_failed(pod)]
        return [pod for pod in lost if judge(self.job, pod)[0] != IGNORE]

    def has_failed(self, pod: Object) -> bool:
        """Tell whether a pod counts as a failure, counted already or not."""
        replaced_early = self.job["spec"].get("podReplacementPolicy") != "Failed"
        gone = replaced_early and is_terminating(pod) and not is_finished(pod)
        return gone or _phase(pod) == "Failed"

    @property
    def completed_indexes(self) -> set[int]:
        """Give the indexes that have succeeded, counted or not."""
        known = read_indexes(counted(self.job, "completedIndexes", ""))
        return known | indexes_of(self.job, self.succeeded)

    @property
    def failed_indexes(self) -> set[int]:
        """Give the indexes that are not tried again, where the Job limits failures per index."""
        limit = self.job["spec"].get("backoffLimitPerIndex")
        if limit is None:
            return set()
        verdicts = [
            (index_of(pod), judge(self.job, pod)[0]) for pod in self.pods if self.has_failed(pod)
        ]
        tries = Counter(index for index, verdict in verdicts if verdict != IGNORE)
        given_up = {index for index, verdict in verdicts if verdict == FAIL_INDEX}
        failed = given_up | {index for index, count in tries.items() if count > limit}
        known = read_indexes(counted(self.job, "failedIndexes", ""))
        return known | {index for index in failed if index is not None}

    def failures_of(self, index: int) -> list[Object]:
        """Give the pods of an index that failed."""
        return [pod for pod in self.pods if index_of(pod) == index and self.has_failed(pod)]

    def uncounted(self, outcome: str, more: list[Object]) -> list[str]:
        """Give the uids of pods of an outcome that are not in its counter yet."""
        known = counted(self.job, "uncountedTerminatedPods", {}).get(outcome) or ()
        return list(dict.fromkeys([*known, *(pod["metadata"]["uid"] for pod in more)]))

    @property
    def successes(self) -> int:
        """Count all that succeeded."""
        if is_indexed(self.job):
            return len(self.completed_indexes)
        waiting = self.uncounted("succeeded", self.succeeded)
        return int(counted(self.job, "succeeded", 0)) + len(waiting)

    @property
    def failures(self) -> int:
        """Count all that failed."""
        return int(counted(self.job, "failed", 0)) + len(self.uncounted("failed", self.failed))

    @property
    def restarts(self) -> int:
        """Count the restarts of containers inside the active pods."""
        statuses = [pod.get("status") or {} for pod in self.active]
        kinds = ("initContainerStatuses", "containerStatuses")
        return sum(
            one["restartCount"]
            for status in statuses
            for kind in kinds
            for one in status.get(kind, ())
        )

    def delay_s(self, now: datetime, index: int | None = None) -> float:
        """Give the seconds until a failed pod may be replaced: 10 s, doubled by every failure.

        Counted since the last success, from the pods that are there; those of one index, if given.
        """
        pods = self.pods if index is None else self.failures_of(index)
        won = [ended_at(pod) for pod in pods if _phase(pod) == "Succeeded"]
        lost = [ended_at(pod) for pod in pods if self.has_failed(pod)]
        since = [at for at in lost if not won or at > max(won)]
        if not since:
            return 0.0
        delay_s = min(_FIRST_DELAY_S * 2.0 ** min(len(since) - 1, 10), _LONGEST_DELAY_S)
        return max(0.0, (max(since) + timedelta(seconds=delay_s) - now).total_seconds())


def counted(job: Object, field: str, default: Any) -> Any:
    """Give a field of a Job's status, or else the default."""
    return (job.get("status") or {}).get(field, default)


def _phase(pod: Object) -> str:
    phase: str = (pod.get("status") or {}).get("phase", "")
    return phase


def ended_at(pod: Object) -> datetime:
    """Give when a pod ended: its last container, or else what comes nearest to that."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    states = [one.get("state") or {} for one in statuses]
    if states and all("terminated" in state for state in states):
        return max(parse_rfc3339(state["terminated"]["finishedAt"]) for state in states)
    meta, ready = pod["metadata"], condition_of(pod, "Ready")
    if ready is not None and ready["status"] == "False":
        return parse_rfc3339(ready["lastTransitionTime"])
    if "deletionTimestamp" in meta:
        grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
        return parse_rfc3339(meta["deletionTimestamp"]) - grace
    return parse_rfc3339(meta["creationTimestamp"])
