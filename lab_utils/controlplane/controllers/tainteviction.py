"""Taint eviction: a pod leaves a node whose NoExecute taints it does not, or no longer, tolerate.

Hides how the shortest toleration wins. Deletes politely; a node that is off will not hear of it.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#concepts
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Emit, Requeue, Update, delete
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
    node = world.get("Node", "", pod["spec"].get("nodeName", ""))
    if node is None or is_terminating(pod) or is_finished(pod):
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
    namespace, name = key_of("Pod", pod)[1:]
    message = f"Marking for deletion Pod {namespace}/{name}"
    target = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": rfc3339(now),
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    return [
        Emit(pod, "Normal", "TaintManagerEviction", message, NAME),
        Update("Pod", set_condition(pod, target), "status"),
        delete("Pod", pod),
    ]


def reprieve(pod: Object, taint: Object) -> list[Action]:
    """Tell of a pod that would have been evicted, had its node's taint stayed."""
    tolerations = tolerations_for(pod, taint)
    if is_terminating(pod) or not any("tolerationSeconds" in one for one in tolerations):
        return []
    namespace, name = key_of("Pod", pod)[1:]
    message = f"Cancelling deletion of Pod {namespace}/{name}"
    return [Emit(pod, "Normal", "TaintManagerEviction", message, NAME)]


def _pods_of_node(change: Change, world: World) -> Iterable[Key]:
    before = change.previous["spec"].get("taints") if change.previous else None
    if change.object["spec"].get("taints") == before:
        return []
    return [key_of("Pod", pod) for pod in world.pods_on(change.object["metadata"]["name"])]


CONTROLLER = Controller(NAME, "Pod", reconcile, {"Node": _pods_of_node})
