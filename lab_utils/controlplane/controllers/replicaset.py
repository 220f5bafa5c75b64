"""ReplicaSet: as many pods as asked for, no more, no less.

Hides which pods are adopted, released, and chosen to go. Never touches a pod of another controller.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/
"""

import copy
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import (
    Action,
    Create,
    Delete,
    Emit,
    Requeue,
    write_status,
)
from lab_utils.controlplane.controllers.controller import Controller, claimants
from lab_utils.controlplane.controllers.objects import (
    available_in,
    condition_of,
    controller_reference,
    is_finished,
    is_ready,
    is_terminating,
    labels_of,
    name_of,
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


def reconcile(replica_set: Object, world: World, now: datetime) -> list[Action]:
    """Create or delete pods, adopt and release, and write down the status."""
    claims, pods = claim(replica_set, "Pod", world)
    active = [pod for pod in pods if not is_finished(pod) and not is_terminating(pod)]
    ending = [pod for pod in pods if not is_finished(pod) and is_terminating(pod)]
    actions: list[Action] = list(claims)
    if not is_terminating(replica_set) and world.accepts(replica_set["metadata"]["namespace"]):
        actions += _resize(replica_set, active)
    min_ready_s = replica_set["spec"].get("minReadySeconds", 0)
    waits = [available_in(pod, min_ready_s, now) for pod in active]
    status = _status(replica_set, active, waits.count(0), len(ending))
    refusal = world.refusal(replica_set) if len(active) < replica_set["spec"]["replicas"] else None
    conditions = _failure((replica_set.get("status") or {}).get("conditions") or (), refusal, now)
    status |= {"conditions": conditions} if conditions else {}
    actions += write_status(replica_set, status)
    pending = [wait for wait in waits if wait]
    return [*actions, Requeue(min(pending))] if pending else actions


def _resize(replica_set: Object, active: list[Object]) -> list[Action]:
    wanted = replica_set["spec"]["replicas"]
    missing = wanted - len(active)
    if missing < 0:
        return _remove(replica_set, active, min(-missing, BURST))
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


def _remove(replica_set: Object, active: list[Object], count: int) -> list[Action]:
    crowd = Counter(pod["spec"].get("nodeName") for pod in active)
    actions: list[Action] = []
    for pod in sorted(active, key=lambda pod: _dispensability(pod, crowd))[:count]:
        message = f"Deleted pod: {name_of(pod)}"
        actions.append(Delete(pod))
        actions.append(Emit(replica_set, "Normal", "SuccessfulDelete", message, NAME))
    return actions


def _dispensability(pod: Object, crowd: Counter[str | None]) -> tuple[object, ...]:
    """Order pods: what goes first comes first.

    Source:
        "Scaling a ReplicaSet" in the documentation, and ActivePodsWithRanks of the controller.
    """
    meta, node = pod["metadata"], pod["spec"].get("nodeName")
    ready = condition_of(pod, "Ready") or {}
    ready_since = parse_rfc3339(ready.get("lastTransitionTime") or meta["creationTimestamp"])
    return (
        bool(node),
        (pod.get("status") or {}).get("phase") == "Running",
        is_ready(pod),
        -crowd[node],
        -ready_since.timestamp(),
        -parse_rfc3339(meta["creationTimestamp"]).timestamp(),
        meta["uid"],
    )


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
