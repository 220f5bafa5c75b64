"""Taint eviction: a pod leaves a node whose NoExecute taints it does not, or no longer, tolerate.

Hides how the shortest toleration wins. Deletes politely; a node that is off will not hear of it.
A pod whose Node object has gone is deleted at once: Kubernetes waits 40 s for the node to come
back, here nobody deletes a Node by accident.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#concepts and
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Delete, Emit, Requeue, Update
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.objects import (
    Key,
    is_finished,
    is_terminating,
    key_of,
    set_condition,
)
from lab_utils.controlplane.controllers.selection import tolerations_for
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

NAME = "taint-eviction-controller"


def reconcile(pod: Object, world: World, now: datetime) -> list[Action]:
    """Delete a pod whose time on its node is over, or come back when it will be."""
    place = pod["spec"].get("nodeName")
    node = world.get("Node", "", place or "")
    if node is None:
        return [Delete(pod, grace_s=0)] if place else []
    if is_terminating(pod) or is_finished(pod):
        return []
    taints = [taint for taint in node["spec"].get("taints") or () if taint["effect"] == "NoExecute"]
    left_s = min((_seconds_left(pod, taint, now) for taint in taints), default=float("inf"))
    if left_s == float("inf"):
        return []
    return [Requeue(left_s)] if left_s > 0 else _evict(pod, now)


def _seconds_left(pod: Object, taint: Object, now: datetime) -> float:
    tolerations = tolerations_for(pod, taint)
    if not tolerations:
        return 0.0
    limits = [one["tolerationSeconds"] for one in tolerations if "tolerationSeconds" in one]
    if not limits:
        return float("inf")
    since = parse_rfc3339(taint["timeAdded"]) if "timeAdded" in taint else now
    return float(max(0, min(limits))) - (now - since).total_seconds()


def _evict(pod: Object, now: datetime) -> list[Action]:
    target = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": rfc3339(now),
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    return [
        _told("Marking for deletion", pod),
        Update(set_condition(pod, target), "status"),
        Delete(pod),
    ]


def reprieve(pod: Object, taint: Object) -> list[Action]:
    """Tell of a pod that would have been evicted, had its node's taint stayed."""
    tolerations = tolerations_for(pod, taint)
    if is_terminating(pod) or not any("tolerationSeconds" in one for one in tolerations):
        return []
    return [_told("Cancelling deletion of", pod)]


def _told(what: str, pod: Object) -> Emit:
    namespace, name = key_of(pod)[1:]
    return Emit(pod, "Normal", "TaintManagerEviction", f"{what} Pod {namespace}/{name}", NAME)


def _pods_of_node(change: Change, world: World) -> Iterable[Key]:
    before = change.previous["spec"].get("taints") if change.previous else None
    if change.type == "MODIFIED" and change.object["spec"].get("taints") == before:
        return []
    return [key_of(pod) for pod in world.pods_on(change.object["metadata"]["name"])]


CONTROLLER = Controller(NAME, "Pod", reconcile, {"Node": _pods_of_node})
