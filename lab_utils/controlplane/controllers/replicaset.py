"""ReplicaSet: as many pods as asked for, no more, no less.

Hides which pods are adopted, released, and chosen to go. Never touches a pod of another controller.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Requeue, write_status
from lab_utils.controlplane.controllers.controller import Controller, claimants
from lab_utils.controlplane.controllers.objects import (
    available_in,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    with_condition,
    without_condition,
)
from lab_utils.controlplane.controllers.ownership import claim
from lab_utils.controlplane.controllers.pods import BURST, creation, growth, least_missed, removal
from lab_utils.controlplane.controllers.selection import matches
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339

NAME = "replicaset-controller"


def reconcile(replica_set: Object, world: World, now: datetime) -> list[Action]:
    """Create or delete pods, adopt and release, and write down the status."""
    claims, pods = claim(replica_set, "Pod", world)
    active = [pod for pod in pods if not is_finished(pod) and not is_terminating(pod)]
    ending = [pod for pod in pods if not is_finished(pod) and is_terminating(pod)]
    actions: list[Action] = list(claims)
    refusal = world.refusal(replica_set) if len(active) < replica_set["spec"]["replicas"] else None
    if not is_terminating(replica_set) and world.accepts(replica_set["metadata"]["namespace"]):
        changes, too_many = _resize(replica_set, active)
        actions, refusal = actions + changes, too_many or refusal
    min_ready_s = replica_set["spec"].get("minReadySeconds", 0)
    waits = [available_in(pod, min_ready_s, now) for pod in active]
    status = _status(replica_set, active, waits.count(0), len(ending))
    conditions = _failure((replica_set.get("status") or {}).get("conditions") or (), refusal, now)
    status |= {"conditions": conditions} if conditions else {}
    actions += write_status(replica_set, status)
    pending = [wait for wait in waits if wait]
    return [*actions, Requeue(min(pending))] if pending else actions


def _resize(replica_set: Object, active: list[Object]) -> tuple[list[Action], str]:
    """Give what is to be done about the pods, and why there will never be enough; "" otherwise."""
    missing = replica_set["spec"]["replicas"] - len(active)
    if missing < 0:
        doomed = least_missed(active, crowded_first=True)[: min(-missing, BURST)]
        return removal(replica_set, doomed, NAME), ""
    count, too_many = growth(replica_set, len(active), missing)
    template = replica_set["spec"]["template"]
    return [creation(replica_set, template, NAME) for _ in range(count)], too_many


def _status(replica_set: Object, active: list[Object], available: int, ending: int) -> Object:
    template = {"matchLabels": labels_of(replica_set["spec"]["template"])}
    counts = {
        "fullyLabeledReplicas": sum(matches(template, labels_of(pod)) for pod in active),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": available,
    }
    status: Object = {"replicas": len(active)}
    status |= {name: count for name, count in counts.items() if count}
    generation = replica_set["metadata"]["generation"]
    return status | {"terminatingReplicas": ending, "observedGeneration": generation}


def _failure(conditions: Iterable[Object], refusal: str | None, now: datetime) -> list[Object]:
    if refusal is None:
        return without_condition(conditions, "ReplicaFailure")
    failure = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": rfc3339(now)}
    return with_condition(conditions, failure | {"reason": "FailedCreate", "message": refusal})


CONTROLLER = Controller(NAME, "ReplicaSet", reconcile, {"Pod": claimants("ReplicaSet")})
