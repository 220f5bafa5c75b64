"""How a Job ends, and how what has happened is written down.

In two steps, as Kubernetes does it, so that no pod is counted twice or forgotten: first which pods
are being counted and how the Job will end; then, with their finalizers off, the counters and the
end itself, which waits for the last pod to be gone.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
"""

from dataclasses import dataclass
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Emit, Update
from lab_utils.controlplane.controllers.jobindexes import is_indexed, write_indexes
from lab_utils.controlplane.controllers.jobtally import FINALIZER, Tally, counted
from lab_utils.controlplane.controllers.objects import condition_of, is_condition, is_terminating
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339

NAME = "job-controller"


@dataclass(frozen=True)
class End:
    """How a Job ends: announced by one condition, made final by the other."""

    announced: str
    final: str
    reason: str
    message: str

    @property
    def is_failure(self) -> bool:
        """Tell whether the Job has failed."""
        return self.final == "Failed"


REACHED = End(
    "SuccessCriteriaMet", "Complete", "CompletionsReached",
    "Reached expected number of succeeded pods",
)  # fmt: skip
TOO_MANY_FAILURES = End(
    "FailureTarget", "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
)
TOO_LONG = End(
    "FailureTarget", "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
)
TOO_MANY_INDEXES = End(
    "FailureTarget", "Failed", "MaxFailedIndexesExceeded",
    "Job has exceeded the specified maximal number of failed indexes",
)  # fmt: skip
SOME_INDEXES = End("FailureTarget", "Failed", "FailedIndexes", "Job has failed indexes")


def by_policy(message: str, *, failure: bool) -> End:
    """Give the end that a rule of the Job's own policies leads to."""
    if failure:
        return End("FailureTarget", "Failed", "PodFailurePolicy", message)
    return End("SuccessCriteriaMet", "Complete", "SuccessPolicy", message)


def outcome(job: Object) -> Object | None:
    """Give the condition with which a Job has ended; None while it has not."""
    found = [condition_of(job, kind) for kind in ("Complete", "Failed") if is_condition(job, kind)]
    return found[0] if found else None


def announced(job: Object) -> End | None:
    """Give the end that a Job is coming to; None while it goes on."""
    for kind, final in (("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")):
        told = condition_of(job, kind)
        if told is not None and told["status"] == "True":
            return End(kind, final, told["reason"], told["message"])
    return None


@dataclass(frozen=True)
class Account:
    """What one look at a Job changes, to be written down.

    Attributes:
        tally: The pods as they were.
        end: How the Job ends, if it does.
        start: When it began; None while it is suspended.
        conditions: Those of the status, as they shall be before the end is told.
        stopped: The pods that were told to go just now.
        started: How many were created just now.
    """

    tally: Tally
    end: End | None
    start: str | None
    conditions: list[Object]
    stopped: list[Object]
    started: int

    def write(self, now: datetime) -> list[Action]:
        """Give the writes: what is being counted, pods let go, what has been counted, the end."""
        job = self.tally.job
        interim = self._interim(now)
        actions: list[Action] = []
        if interim != job.get("status"):
            actions.append(Update(job | {"status": interim}, "status"))
        actions += [Update(untracked(pod)) for pod in self._released()]
        final = self._final(interim, now)
        if final != interim:
            actions.append(Update(job | {"status": final}, "status"))
        if self.end and len(final["conditions"]) > len(interim["conditions"]):
            actions.append(self._told(self.end))
        return actions

    def _released(self) -> list[Object]:
        """Give the pods that nobody waits for any more."""
        if self.end or is_terminating(self.tally.job):
            return self.tally.tracked
        return self.tally.ended

    def _interim(self, now: datetime) -> Object:
        tally, job = self.tally, self.tally.job
        failed = [*tally.failed, *(self.stopped if self.end and self.end.is_failure else ())]
        waiting = {
            "succeeded": [] if is_indexed(job) else tally.uncounted("succeeded", tally.succeeded),
            "failed": tally.uncounted("failed", failed),
        }
        conditions = self.conditions
        if self.end and not any(one["type"] == self.end.announced for one in conditions):
            conditions = [*conditions, _condition(self.end.announced, self.end, now)]
        ready = sum(pod in self.stopped for pod in tally.ready)
        status = {
            "conditions": conditions,
            "startTime": self.start,
            "active": len(tally.active) - len(self.stopped) + self.started,
            "succeeded": tally.successes if is_indexed(job) else counted(job, "succeeded", 0),
            "failed": counted(job, "failed", 0),
            "completedIndexes": write_indexes(tally.completed_indexes) if is_indexed(job) else "",
        }
        limited = "backoffLimitPerIndex" in job["spec"]
        indexes = {"failedIndexes": write_indexes(tally.failed_indexes)} if limited else {}
        return {name: value for name, value in status.items() if value} | {
            "terminating": tally.terminating + len(self.stopped),
            **indexes,
            "uncountedTerminatedPods": {name: uids for name, uids in waiting.items() if uids},
            "ready": len(tally.ready) - ready,
        }

    def _final(self, interim: Object, now: datetime) -> Object:
        waiting = interim["uncountedTerminatedPods"]
        counts = {name: interim.get(name, 0) + len(uids) for name, uids in waiting.items()}
        final = interim | counts | {"uncountedTerminatedPods": {}}
        if self.end is None or interim["terminating"]:
            return final
        if not self.end.is_failure:
            final["completionTime"] = rfc3339(now)
        over = _condition(self.end.final, self.end, now)
        return final | {"conditions": [*interim["conditions"], over]}

    def _told(self, end: End) -> Emit:
        if end.is_failure:
            return Emit(self.tally.job, "Warning", end.reason, end.message, NAME)
        return Emit(self.tally.job, "Normal", "Completed", "Job completed", NAME)


def _condition(kind: str, end: End, now: datetime) -> Object:
    return condition(kind, ("True", end.reason, end.message), now)


def condition(kind: str, words: tuple[str, str, str], now: datetime) -> Object:
    """Make a condition of a Job from its status, reason and message."""
    at, (status, reason, message) = rfc3339(now), words
    times = {"lastProbeTime": at, "lastTransitionTime": at}
    return {"type": kind, "status": status, **times, "reason": reason, "message": message}


def untracked(pod: Object) -> Object:
    """Give a pod without the finalizer that keeps it until it is counted."""
    metadata = dict(pod["metadata"])
    left = [name for name in metadata.pop("finalizers") if name != FINALIZER]
    return pod | {"metadata": metadata | ({"finalizers": left} if left else {})}
