"""ReplicaSet: as many pods as asked for, no more, no less.

Hides which pods are adopted, released, and chosen to go. Never touches a pod of another controller.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
"""

import copy
from datetime import datetime

from lab_utils.controlplane.controllers.actions import (
    Action,
    Create,
    Delete,
    Emit,
    Requeue,
    Update,
)
from lab_utils.controlplane.controllers.controller import Controller, claimants
from lab_utils.controlplane.controllers.objects import (
    annotations_of,
    available_in,
    condition_of,
    controller_of,
    controller_reference,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    with_condition,
    without_condition,
)
from lab_utils.controlplane.controllers.ownership import claim
from lab_utils.controlplane.controllers.selection import matches
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

NAME = "replicaset-controller"
BURST = 25
"""Pods created or deleted in one step, so that requests are served in between."""
MAX_PODS = 500
"""Ours: a typing error in `replicas` must not fill the machine's memory with Pending pods."""
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = ("Pending", "Unknown", "Running")


def reconcile(replica_set: Object, world: World, now: datetime) -> list[Action]:
    """Create or delete pods, adopt and release, and write down the status."""
    claims, pods = claim(replica_set, "Pod", world)
    active = [pod for pod in pods if not is_finished(pod) and not is_terminating(pod)]
    ending = [pod for pod in pods if not is_finished(pod) and is_terminating(pod)]
    actions: list[Action] = list(claims)
    if not is_terminating(replica_set) and world.accepts(replica_set["metadata"]["namespace"]):
        actions += _resize(replica_set, active, world)
    status = _status(replica_set, active, ending, world, now)
    if status != replica_set.get("status"):
        actions.append(Update(replica_set | {"status": status}, "status"))
    return actions + _until_available(replica_set, active, now)


def _resize(replica_set: Object, active: list[Object], world: World) -> list[Action]:
    wanted = replica_set["spec"]["replicas"]
    missing = wanted - len(active)
    if missing < 0:
        return _remove(replica_set, active, world, min(-missing, BURST))
    if missing and len(active) >= MAX_PODS:
        why = f"Error creating: {wanted} pods wanted, a ReplicaSet of this cluster has {MAX_PODS}"
        return [Emit(replica_set, "Warning", "FailedCreate", f"{why} at most", NAME)]
    count = min(missing, BURST, MAX_PODS - len(active))
    return [_creation(replica_set) for _ in range(count)]


def _creation(replica_set: Object) -> Create:
    template, meta = copy.deepcopy(replica_set["spec"]["template"]), replica_set["metadata"]
    kept = ("labels", "annotations", "finalizers")
    of_template = {key: value for key, value in template["metadata"].items() if key in kept}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            **of_template,
            "ownerReferences": [controller_reference(replica_set)],
        },
        "spec": template["spec"],
    }
    done = Emit(replica_set, "Normal", "SuccessfulCreate", "Created pod: {name}", NAME)
    return Create(pod, done)


def _remove(replica_set: Object, active: list[Object], world: World, count: int) -> list[Action]:
    crowd = _pods_per_node(replica_set, active, world)
    victims = sorted(active, key=lambda pod: _dispensability(pod, crowd))[:count]
    actions: list[Action] = []
    for pod in victims:
        message = f"Deleted pod: {pod['metadata']['name']}"
        actions.append(Delete(pod))
        actions.append(Emit(replica_set, "Normal", "SuccessfulDelete", message, NAME))
    return actions


def _pods_per_node(replica_set: Object, active: list[Object], world: World) -> dict[str, int]:
    """Count pods of the same Deployment on each node, so that scaling down evens them out."""
    owner = controller_of(replica_set)
    related = list(active)
    if owner is not None:
        siblings = [rs["metadata"]["uid"] for rs in world.owned(owner["uid"], "ReplicaSet")]
        related = [pod for uid in siblings for pod in world.owned(uid, "Pod")]
    crowd: dict[str, int] = {}
    for pod in related:
        if not is_finished(pod) and not is_terminating(pod):
            node = pod["spec"].get("nodeName", "")
            crowd[node] = crowd.get(node, 0) + 1
    return crowd


def _dispensability(pod: Object, crowd: dict[str, int]) -> tuple[object, ...]:
    """Order pods: what goes first comes first.

    Source:
        "Scaling a ReplicaSet" in the documentation, and ActivePodsWithRanks of the controller.
    """
    meta, status, node = pod["metadata"], pod.get("status") or {}, pod["spec"].get("nodeName", "")
    ready = condition_of(pod, "Ready") or {}
    ready_since = parse_rfc3339(ready.get("lastTransitionTime") or meta["creationTimestamp"])
    restarts = max((c["restartCount"] for c in status.get("containerStatuses") or ()), default=0)
    return (
        bool(node),
        _PHASES.index(status.get("phase", "Pending")),
        is_ready(pod),
        int(annotations_of(pod).get(_DELETION_COST, "0")),
        -crowd.get(node, 0),
        -ready_since.timestamp(),
        -restarts,
        -parse_rfc3339(meta["creationTimestamp"]).timestamp(),
        meta["uid"],
    )


def _status(
    replica_set: Object, active: list[Object], ending: list[Object], world: World, now: datetime
) -> Object:
    meta, spec, old = replica_set["metadata"], replica_set["spec"], replica_set.get("status") or {}
    template = {"matchLabels": labels_of(spec["template"])}
    waits = [available_in(pod, spec.get("minReadySeconds", 0), now) for pod in active]
    counts = {
        "fullyLabeledReplicas": sum(matches(template, labels_of(pod)) for pod in active),
        "readyReplicas": sum(is_ready(pod) for pod in active),
        "availableReplicas": sum(wait == 0 for wait in waits),
    }
    status: Object = {"replicas": len(active)}
    status |= {name: count for name, count in counts.items() if count}
    status |= {"terminatingReplicas": len(ending), "observedGeneration": meta["generation"]}
    refusal = world.refusal(replica_set) if len(active) < spec["replicas"] else None
    conditions = _failure(old.get("conditions") or [], refusal, now)
    return status | ({"conditions": conditions} if conditions else {})


def _failure(conditions: list[Object], refusal: str | None, now: datetime) -> list[Object]:
    if refusal is None:
        return without_condition(conditions, "ReplicaFailure")
    failure = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": rfc3339(now)}
    return with_condition(conditions, failure | {"reason": "FailedCreate", "message": refusal})


def _until_available(replica_set: Object, active: list[Object], now: datetime) -> list[Action]:
    min_ready_s = replica_set["spec"].get("minReadySeconds", 0)
    waits = [available_in(pod, min_ready_s, now) for pod in active]
    pending = [wait for wait in waits if wait]
    return [Requeue(min(pending))] if pending else []


CONTROLLER = Controller(NAME, "ReplicaSet", reconcile, {"Pod": claimants("ReplicaSet")})
