"""What a Deployment's status says: its counters, whether it is available, whether it progresses.

Hides the order in which the Progressing condition is decided.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
"""

from datetime import datetime, timedelta

from lab_utils.controlplane.controllers.actions import Requeue, Update
from lab_utils.controlplane.controllers.objects import (
    condition_of,
    with_condition,
    without_condition,
)
from lab_utils.controlplane.controllers.rollout import Rollout, bounds, counted, size
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

_DEADLINE_S = 600
_SLACK_S = 1.0  # stamps are whole seconds


Words = tuple[str, str, str]
"""Status, reason and message of a condition."""


def _condition(kind: str, words: Words, now: datetime) -> Object:
    at, (status, reason, message) = rfc3339(now), words
    times = {"lastUpdateTime": at, "lastTransitionTime": at}
    return {"type": kind, "status": status, **times, "reason": reason, "message": message}


def tell(rollout: Rollout, words: Words, now: datetime) -> None:
    """Set the Progressing condition of the Deployment as it will be; write() writes it."""
    status = rollout.deployment.get("status") or {}
    made = _condition("Progressing", words, now)
    conditions = with_condition(status.get("conditions") or (), made)
    rollout.deployment = rollout.deployment | {"status": status | {"conditions": conditions}}


def write(rollout: Rollout, before: Object, now: datetime, *, estimate: bool) -> None:
    """Write the status if it differs from before; with estimate, judge the rollout's progress."""
    status = _counters(rollout)
    conditions = _available(rollout, status, now)
    if estimate:
        conditions = _progressing(rollout, status, conditions, now)
    conditions = _failing(rollout, conditions)
    status["conditions"] = conditions
    if status != before.get("status"):
        rollout.actions.append(Update(rollout.deployment | {"status": status}, "status"))
    if estimate:
        _watch_deadline(rollout, status, now)


def _counters(rollout: Rollout) -> Object:
    updated = [rollout.new] if rollout.new else []
    available = sum(counted(rs, "availableReplicas") for rs in rollout.all)
    counters = {
        "replicas": sum(counted(rs, "replicas") for rs in rollout.all),
        "updatedReplicas": sum(counted(rs, "replicas") for rs in updated),
        "readyReplicas": sum(counted(rs, "readyReplicas") for rs in rollout.all),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(map(size, rollout.all)) - available),
    }
    status: Object = {"observedGeneration": rollout.deployment["metadata"]["generation"]}
    status |= {name: count for name, count in counters.items() if count}
    ending = sum(counted(rs, "terminatingReplicas") for rs in rollout.all)
    return status | {"terminatingReplicas": ending}


def _available(rollout: Rollout, status: Object, now: datetime) -> list[Object]:
    old = (rollout.deployment.get("status") or {}).get("conditions") or ()
    enough = rollout.wanted - bounds(rollout.deployment)[1]
    if status.get("availableReplicas", 0) >= enough:
        words = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        text = "Deployment does not have minimum availability."
        words = ("False", "MinimumReplicasUnavailable", text)
    return with_condition(old, _condition("Available", words, now))


def _progressing(
    rollout: Rollout, status: Object, conditions: list[Object], now: datetime
) -> list[Object]:
    current = condition_of(rollout.deployment, "Progressing")
    settled = current is not None and current["reason"] == "NewReplicaSetAvailable"
    if settled and status.get("replicas", 0) == status.get("updatedReplicas", 0):
        return conditions
    subject = f'Deployment "{rollout.deployment["metadata"]["name"]}"'
    if rollout.new is not None:
        subject = f'ReplicaSet "{rollout.new["metadata"]["name"]}"'
    if _is_complete(rollout, status):
        words = ("True", "NewReplicaSetAvailable", f"{subject} has successfully progressed.")
        return with_condition(conditions, _condition("Progressing", words, now))
    if _has_progressed(rollout.deployment.get("status") or {}, status):
        words = ("True", "ReplicaSetUpdated", f"{subject} is progressing.")
        made = _condition("Progressing", words, now)
        if current is not None and current["status"] == "True":
            made["lastTransitionTime"] = current["lastTransitionTime"]
        return [*without_condition(conditions, "Progressing"), made]  # lastUpdateTime: now
    if current is not None and _seconds_left(rollout.deployment, current, now) < 0:
        words = ("False", "ProgressDeadlineExceeded", f"{subject} has timed out progressing.")
        return with_condition(conditions, _condition("Progressing", words, now))
    return conditions


def _is_complete(rollout: Rollout, status: Object) -> bool:
    counters = ("updatedReplicas", "replicas", "availableReplicas")
    return all(status.get(counter, 0) == rollout.wanted for counter in counters)


def _has_progressed(old: Object, new: Object) -> bool:
    def outdated(status: Object) -> int:
        count: int = status.get("replicas", 0) - status.get("updatedReplicas", 0)
        return count

    grown = ("updatedReplicas", "readyReplicas", "availableReplicas")
    return outdated(new) < outdated(old) or any(
        new.get(counter, 0) > old.get(counter, 0) for counter in grown
    )


def _seconds_left(deployment: Object, current: Object, now: datetime) -> float:
    if current["reason"] == "NewReplicaSetAvailable":
        return float("inf")
    limit = timedelta(seconds=deployment["spec"].get("progressDeadlineSeconds", _DEADLINE_S))
    return (parse_rfc3339(current["lastUpdateTime"]) + limit - now).total_seconds()


def _failing(rollout: Rollout, conditions: list[Object]) -> list[Object]:
    """Show on the Deployment why its ReplicaSet cannot create pods."""
    for replica_set in reversed(rollout.all):
        failure = condition_of(replica_set, "ReplicaFailure")
        if failure is not None:
            times = {"lastUpdateTime": failure["lastTransitionTime"]}
            return with_condition(conditions, failure | times)
    return without_condition(conditions, "ReplicaFailure")


def _watch_deadline(rollout: Rollout, status: Object, now: datetime) -> None:
    current = condition_of({"status": status}, "Progressing")
    if current is None or current["status"] == "False":
        return
    left_s = _seconds_left(rollout.deployment, current, now)
    if left_s != float("inf"):
        rollout.actions.append(Requeue(max(0.0, left_s) + _SLACK_S))
