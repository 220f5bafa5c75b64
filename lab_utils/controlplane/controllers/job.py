"""Job: pods that run until enough of them have succeeded, or until going on is pointless.

Hides which pods come and go. How they are counted is `jobtally.py`, how they are numbered
`jobindexes.py`, how one pod can decide it all `jobpolicy.py`, how it is written down `jobend.py`.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lab_utils.controlplane.controllers.actions import Action, Emit, Requeue, Update
from lab_utils.controlplane.controllers.controller import Controller, claimants
from lab_utils.controlplane.controllers.jobend import (
    NAME,
    REACHED,
    SOME_INDEXES,
    TOO_LONG,
    TOO_MANY_FAILURES,
    TOO_MANY_INDEXES,
    Account,
    End,
    announced,
    by_policy,
    condition,
    outcome,
    untracked,
)
from lab_utils.controlplane.controllers.jobindexes import (
    indexes_of,
    is_indexed,
    numbered,
    pending_indexes,
    surplus,
)
from lab_utils.controlplane.controllers.jobpolicy import FAIL_JOB, judge, success
from lab_utils.controlplane.controllers.jobtally import FINALIZER, Tally
from lab_utils.controlplane.controllers.objects import (
    Key,
    controller_of,
    is_condition,
    is_terminating,
    key_of,
    set_condition,
)
from lab_utils.controlplane.controllers.ownership import claim
from lab_utils.controlplane.controllers.pods import BURST, creation, growth, least_missed, removal
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

_TRIES = "batch.kubernetes.io/job-index-failure-count"


@dataclass
class _Step:
    """One look at a Job that goes on: the pods that go, those that come, and why."""

    job: Object
    tally: Tally
    now: datetime
    actions: list[Action] = field(default_factory=list)
    stopped: list[Object] = field(default_factory=list)
    started: int = 0


def reconcile(job: Object, world: World, now: datetime) -> list[Action]:
    """Start and stop pods, count each that ended once, and tell when it is over."""
    if outcome(job):
        return []
    claims, pods = claim(job, "Pod", world)
    step = _Step(job, Tally(job, pods), now, list(claims))
    start, conditions = _suspension(step)
    end = announced(job) or _end(step, start)
    if end is not None:
        _stop(step, step.tally.active)
    elif not is_terminating(job) and world.accepts(job["metadata"]["namespace"]):
        _manage(step)
        end = REACHED if _is_complete(step) else None
    if world.refusal(job) is not None:
        step.started = 0  # they are asked for again, but are hardly there
    account = Account(step.tally, end, start, conditions, step.stopped, step.started)
    return [*step.actions, *account.write(now), *_deadline(job, end, start, now)]


def _suspension(step: _Step) -> tuple[str | None, list[Object]]:
    """Note that a Job was suspended or resumed; give its start and its conditions."""
    job = step.job
    status = job.get("status") or {}
    start, conditions = status.get("startTime"), list(status.get("conditions") or ())
    suspended, at = _is_suspended(job), rfc3339(step.now)
    if suspended == is_condition(job, "Suspended"):
        return start or (None if suspended else at), conditions
    told = "Suspended" if suspended else "Resumed"
    words = (str(suspended), f"Job{told}", f"Job {told.lower()}")
    step.actions.append(Emit(job, "Normal", told, words[2], NAME))
    marked = set_condition(job, condition("Suspended", words, step.now))
    return start if suspended else at, marked["status"]["conditions"]


def _is_suspended(job: Object) -> bool:
    return bool(job["spec"].get("suspend"))


def _end(step: _Step, start: str | None) -> End | None:
    """Say whether the Job is over before its last pod has succeeded, and why."""
    job, tally = step.job, step.tally
    judged = (judge(job, pod) for pod in tally.pods)
    fatal = next((why for action, why in judged if action == FAIL_JOB), None)
    if fatal is not None:
        return by_policy(fatal, failure=True)
    spec, limit = job["spec"], job["spec"].get("backoffLimit", 6)
    in_place = spec["template"]["spec"].get("restartPolicy") == "OnFailure"
    if tally.failures > limit or (in_place and tally.restarts >= max(limit, 1)):
        return TOO_MANY_FAILURES
    left_s = _seconds_left(job, start, step.now)
    if left_s is not None and left_s <= 0:
        return TOO_LONG
    return _end_by_indexes(job, tally) if is_indexed(job) else None


def _end_by_indexes(job: Object, tally: Tally) -> End | None:
    failed, most = len(tally.failed_indexes), job["spec"].get("maxFailedIndexes")
    if most is not None and failed > most:
        return TOO_MANY_INDEXES
    if failed and failed + len(tally.completed_indexes) >= job["spec"]["completions"]:
        return SOME_INDEXES
    enough = success(job, tally.completed_indexes)
    return by_policy(enough, failure=False) if enough else None


def _seconds_left(job: Object, start: str | None, now: datetime) -> float | None:
    limit_s = job["spec"].get("activeDeadlineSeconds")
    if limit_s is None or start is None or _is_suspended(job):
        return None
    return (parse_rfc3339(start) + timedelta(seconds=limit_s) - now).total_seconds()


def _deadline(job: Object, end: End | None, start: str | None, now: datetime) -> list[Action]:
    left_s = None if end else _seconds_left(job, start, now)
    return [] if left_s is None else [Requeue(left_s)]


def _manage(step: _Step) -> None:
    """Have as many pods at work as there is work for, and no more than may run at a time."""
    job, active = step.job, step.tally.active
    if _is_suspended(job):
        _stop(step, active)
        return
    missing = _wanted(step) - len(active)
    doomed = surplus(job, active) if is_indexed(job) else []
    others = [pod for pod in active if pod not in doomed]
    doomed += least_missed(others)[: max(0, -missing - len(doomed))]
    if doomed:
        _stop(step, doomed[:BURST])
        return
    if job["spec"].get("podReplacementPolicy") == "Failed":
        missing -= step.tally.terminating
    if missing > 0:
        _start(step, missing)


def _wanted(step: _Step) -> int:
    spec, tally = step.job["spec"], step.tally
    parallelism, completions = spec.get("parallelism", 1), spec.get("completions")
    if completions is None:  # the first success ends a work queue; who is at work may finish
        return len(tally.active) if tally.successes else int(parallelism)
    return int(max(0, min(parallelism, completions - tally.successes)))


def _is_complete(step: _Step) -> bool:
    if len(step.tally.active) - len(step.stopped) + step.started:
        return False
    completions = step.job["spec"].get("completions")
    return step.tally.successes >= (1 if completions is None else completions)


def _stop(step: _Step, pods: list[Object]) -> None:
    step.stopped = pods
    step.actions += removal(step.job, pods, NAME)


def _start(step: _Step, missing: int) -> None:
    job, tally = step.job, step.tally
    count, too_many = growth(job, len(tally.active), missing)
    if too_many:
        step.actions.append(Emit(job, "Warning", "FailedCreate", too_many, NAME))
    delay_s = 0.0 if "backoffLimitPerIndex" in job["spec"] else tally.delay_s(step.now)
    if delay_s > 0:
        step.actions.append(Requeue(delay_s))
    elif is_indexed(job):
        _start_indexes(step, count)
    else:
        step.actions += [creation(job, _tracked_template(job), NAME) for _ in range(count)]
        step.started = count


def _start_indexes(step: _Step, count: int) -> None:
    """Start the lowest indexes that are due; each waits for its own failures, if limited so."""
    job, tally, name = step.job, step.tally, step.job["metadata"]["name"]
    limited = "backoffLimitPerIndex" in job["spec"]
    taken = tally.completed_indexes | tally.failed_indexes | indexes_of(job, tally.active)
    for index in pending_indexes(job, taken, count):
        delay_s = tally.delay_s(step.now, index) if limited else 0.0
        if delay_s > 0:
            step.actions.append(Requeue(delay_s))
            continue
        template = numbered(job, _tracked_template(job), index)
        if limited:
            tries = str(len(tally.failures_of(index)))
            template["metadata"]["annotations"][_TRIES] = tries
        step.actions.append(creation(job, template, NAME, f"{name}-{index}-"))
        step.started += 1


def _tracked_template(job: Object) -> Object:
    template: Object = job["spec"]["template"]
    metadata = template.get("metadata") or {}
    finalizers = [*metadata.get("finalizers", ()), FINALIZER]
    return template | {"metadata": metadata | {"finalizers": finalizers}}


def let_go(pod: Object, world: World, _now: datetime) -> list[Action]:
    """Let a pod go that no Job will count any more: its Job has gone, or given it up."""
    if FINALIZER not in (pod["metadata"].get("finalizers") or ()):
        return []
    reference = controller_of(pod)
    owner = world.owner(reference["uid"]) if reference else None
    return [] if owner is not None and not outcome(owner) else [Update(untracked(pod))]


def _pods_of_job(change: Change, world: World) -> Iterable[Key]:
    if change.type == "DELETED":
        yield from map(key_of, world.owned(change.object["metadata"]["uid"], "Pod"))


CONTROLLERS = (
    Controller(NAME, "Job", reconcile, {"Pod": claimants("Job")}),
    Controller(NAME, "Pod", let_go, {"Job": _pods_of_job}),
)
