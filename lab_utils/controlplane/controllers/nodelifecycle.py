"""Node lifecycle: a node that has fallen silent is Unknown, its pods are not ready.

Hides which condition becomes which taint, and how fast: one node in 10 s is told to let its pods
go, and none when no node is left to take them. Never deletes a pod: `tainteviction.py` does.
Source: https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

import copy
import math
from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, Emit, Requeue, Update
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.objects import (
    Key,
    condition_of,
    is_condition,
    is_ready,
    key_of,
    name_of,
    set_condition,
)
from lab_utils.controlplane.controllers.tainteviction import reprieve
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

NAME = "node-controller"
_KEY = "node.kubernetes.io/"
_EVICTION_S = 10.0
"""Between two nodes that are given up: upstream's node-eviction-rate of 0.1/s."""
_OWN_KEYS = (f"{_KEY}not-ready", f"{_KEY}unreachable", f"{_KEY}unschedulable")

_Place = tuple[str, str]
"""Key and effect of a taint."""


def reconcile(node: Object, world: World, now: datetime) -> list[Action]:
    """Judge a node by its silence, taint it by its conditions, and look again in time."""
    grace_s, silence_s = world.config.node_monitor_grace_period_s, world.silence_s(name_of(node))
    actions: list[Action] = []
    if silence_s >= grace_s and not is_condition(node, "Ready", "Unknown"):
        actions += _unready_pods(node, world, now)
        node = _unknown(node, now)
        actions.append(Update(node, "status"))
        message = f"Node {name_of(node)} status is now: NodeNotReady"
        actions.append(Emit(node, "Normal", "NodeNotReady", message, NAME))
    return actions + _taint(node, world, now) + _next_look(silence_s, world)


def _unready_pods(node: Object, world: World, now: datetime) -> list[Action]:
    """Take a silent node's pods out of their Services: nobody else will."""
    actions: list[Action] = []
    for pod in world.pods_on(name_of(node)):
        if is_ready(pod):
            pod = copy.deepcopy(pod)
            ready = condition_of(pod, "Ready") or {}
            ready |= {"status": "False", "lastTransitionTime": rfc3339(now)}
            actions.append(Update(pod, "status"))
            actions.append(Emit(pod, "Warning", "NodeNotReady", "Node is not ready", NAME))
    return actions


def _unknown(node: Object, now: datetime) -> Object:
    told = {"status": "Unknown", "lastTransitionTime": rfc3339(now)}
    told |= {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
    for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready"):
        since = {"lastHeartbeatTime": node["metadata"]["creationTimestamp"]}
        old = condition_of(node, kind) or {"type": kind} | since
        node = set_condition(node, old | told)
    return node


def _taint(node: Object, world: World, now: datetime) -> list[Action]:
    """Make the taints say what the conditions say.

    A recovered node gets pods again at once; what keeps running pods off it, the NoExecute taint,
    is lifted only with the next round of the node monitor.
    """
    old = node["spec"].get("taints") or []
    held_s = _held_s(node, old, now, world.config.node_monitor_period_s)
    wanted, wait_s = _in_turn(node, _wanted(node), world, now)
    new = _taints(old, wanted, now, hold=held_s > 0)
    actions: list[Action] = [Requeue(wait) for wait in (held_s, wait_s) if wait]
    if new != old:
        spec = {key: value for key, value in node["spec"].items() if key != "taints"}
        actions.append(Update(node | {"spec": spec | ({"taints": new} if new else {})}))
    places = [_place(taint) for taint in new]
    for taint in old:
        if taint["effect"] == "NoExecute" and _place(taint) not in places:
            for pod in world.pods_on(name_of(node)):
                actions += reprieve(pod, taint)
    return actions


def _in_turn(
    node: Object, wanted: list[_Place], world: World, now: datetime
) -> tuple[list[_Place], float]:
    """Leave out NoExecute while it is not this node's turn; give the seconds until it may be."""
    others = [one for one in world.list("Node") if name_of(one) != name_of(node)]
    gentle = [place for place in wanted if place[1] != "NoExecute"]
    if not any(is_condition(one, "Ready") for one in [node, *others]):
        return gentle, 0.0
    if gentle == wanted or any(_is_given_up(taint) for taint in node["spec"].get("taints") or ()):
        return wanted, 0.0
    taints = [taint for one in others for taint in one["spec"].get("taints") or ()]
    since = [taint["timeAdded"] for taint in taints if _is_given_up(taint) and "timeAdded" in taint]
    if not since:
        return wanted, 0.0
    wait_s = _EVICTION_S - (now - parse_rfc3339(max(since))).total_seconds()
    return (gentle, wait_s) if wait_s > 0 else (wanted, 0.0)


def _is_given_up(taint: Object) -> bool:
    return taint["effect"] == "NoExecute" and taint["key"] in _OWN_KEYS


def _place(taint: Object) -> _Place:
    return taint["key"], taint["effect"]


def _taints(old: list[Object], wanted: list[_Place], now: datetime, *, hold: bool) -> list[Object]:
    """Give the taints as they should be: those of others, those that stay, those that come."""
    new, added = [], {"timeAdded": rfc3339(now)}
    for taint in old:
        evicts = taint["effect"] == "NoExecute"
        if taint["key"] not in _OWN_KEYS or _place(taint) in wanted or (evicts and hold):
            new.append(added | taint if evicts else taint)
    present = list(map(_place, new))
    missing = [place for place in wanted if place not in present]
    return new + [{"key": key, "effect": effect} | added for key, effect in missing]


def _wanted(node: Object) -> list[_Place]:
    ready = condition_of(node, "Ready")
    wanted = []
    if ready is None:
        wanted.append((f"{_KEY}not-ready", "NoSchedule"))
    elif ready["status"] != "True":
        key = _KEY + ("unreachable" if ready["status"] == "Unknown" else "not-ready")
        wanted += [(key, "NoSchedule"), (key, "NoExecute")]
    if node["spec"].get("unschedulable"):
        wanted.append((f"{_KEY}unschedulable", "NoSchedule"))
    return wanted


def _held_s(node: Object, taints: list[Object], now: datetime, period_s: float) -> float:
    ready = condition_of(node, "Ready")
    if not any(map(_is_given_up, taints)) or ready is None or ready["status"] != "True":
        return 0.0
    recovered = parse_rfc3339(ready["lastTransitionTime"])
    return min(period_s, max(0.0, period_s - (now - recovered).total_seconds()))


def _next_look(silence_s: float, world: World) -> list[Action]:
    """Come back when the node will have been silent for too long, on the beat of the monitor."""
    grace_s, period_s = world.config.node_monitor_grace_period_s, world.config.node_monitor_period_s
    left_s = grace_s - silence_s
    return [Requeue(math.ceil(left_s / period_s) * period_s)] if left_s > 0 else []


def _other_nodes(change: Change, world: World) -> Iterable[Key]:
    """A node that comes, goes or changes its mind may let others be given up, or spare them."""
    before = condition_of(change.previous, "Ready") if change.previous else None
    after = condition_of(change.object, "Ready") if change.type != "DELETED" else None
    if (before or {}).get("status") == (after or {}).get("status"):
        return []
    return [key_of(node) for node in world.list("Node")]


CONTROLLER = Controller(NAME, "Node", reconcile, {"Node": _other_nodes})
