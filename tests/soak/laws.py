"""What must hold: pure functions from what was seen to sentences about what is wrong."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.contract.cluster import Object, condition_of
from tests.soak.witness import Seen

STALE_S = 3.0
"""How long an endpoint may outlive its pod's readiness: a controller's turn on a busy machine."""
_OVER = {"Succeeded", "Failed"}
_TURNS = {"not there yet": {"ADDED"}, "there": {"MODIFIED", "DELETED"}, "over": set[str]()}


def order_faults(before: Iterable[Object], seen: Sequence[Seen]) -> Iterator[str]:
    """Hold one stream to its order: versions grow, and each object is added, changed, deleted."""
    for earlier, later in pairwise(seen):
        if later.revision <= earlier.revision:
            yield f"{_name(later.object)} came at {later.revision}, after {earlier.revision}"
    alive = {obj["metadata"]["uid"]: obj for obj in before}
    known = set(alive)
    for event in seen:
        place = "there" if event.uid in alive else "over" if event.uid in known else "not there yet"
        if event.type not in _TURNS[place]:
            yield f"{_name(event.object)} was {event.type} when it was {place}"
        if last := alive.pop(event.uid, None):
            yield from change_faults(last, event.object)
        known.add(event.uid)
        if event.type != "DELETED":
            alive[event.uid] = event.object


def change_faults(before: Object, after: Object) -> Iterator[str]:
    """Hold one change of an object to what never goes back."""
    old, new = before["metadata"], after["metadata"]
    if new.get("generation", 0) < old.get("generation", 0):
        yield f"{_name(after)} took back its generation"
    if "deletionTimestamp" in old and "deletionTimestamp" not in new:
        yield f"{_name(after)} took back its deletion"
    observed = [obj.get("status", {}).get("observedGeneration", 0) for obj in (before, after)]
    if observed[1] < observed[0]:
        yield f"{_name(after)} took back its observedGeneration"
    if after["kind"] == "Pod":
        yield from _pod_faults(before, after)


def _pod_faults(before: Object, after: Object) -> Iterator[str]:
    phases = [obj["status"].get("phase") for obj in (before, after)]
    if phases[0] in _OVER and phases[1] != phases[0]:
        yield f"{_name(after)} went from {phases[0]} to {phases[1]}"
    nodes = [obj["spec"].get("nodeName") for obj in (before, after)]
    if nodes[0] and nodes[1] != nodes[0]:
        yield f"{_name(after)} moved from {nodes[0]} to {nodes[1]}"
    restarts = [sum(c["restartCount"] for c in _containers(obj)) for obj in (before, after)]
    if restarts[1] < restarts[0]:
        yield f"{_name(after)} took back restarts: {restarts[0]} to {restarts[1]}"


def disagreement(one: Iterable[Seen], other: Iterable[Seen]) -> str | None:
    """Say where two witnesses of the same thing part; None when they tell the same."""
    told, retold = ([(e.type, e.uid, e.revision) for e in events] for events in (one, other))
    if told == retold:
        return None
    lost, extra = sorted(set(told) - set(retold)), sorted(set(retold) - set(told))
    return f"{len(lost)} lost {lost[:3]}, {len(extra)} more {extra[:3]} of {len(told)} events"


def fold(before: Iterable[Object], seen: Iterable[Seen]) -> dict[str, str]:
    """Give what there is by a witness's word: uid -> version."""
    there = {obj["metadata"]["uid"]: obj["metadata"]["resourceVersion"] for obj in before}
    for event in seen:
        there[event.uid] = event.object["metadata"]["resourceVersion"]
        if event.type == "DELETED":
            del there[event.uid]
    return there


@dataclass
class Endpoints:
    """What became of the endpoints of a namespace."""

    faults: list[str] = field(default_factory=list)
    lags_s: list[float] = field(default_factory=list)
    """For how long each outlived the readiness of its pod."""


def follow_endpoints(
    pods: Sequence[Seen], slices: Sequence[Seen], until_s: float, *, allowed_s: float = STALE_S
) -> Endpoints:
    """Hold endpoints to their pods: none before its pod was Ready, none long after.

    Args:
        pods: Every event of the pods.
        slices: Every event of the EndpointSlices.
        until_s: Now, on the clock of the events.
        allowed_s: How long an endpoint may outlive its pod's readiness.
    """
    found = Endpoints()
    unready_since_s: dict[str, float] = {}
    was_ready: set[str] = set()
    sends_to: dict[str, dict[str, str]] = {}
    for event in sorted((*pods, *slices), key=lambda event: event.revision):
        if event.object["kind"] == "Pod":
            _note_pod(event, was_ready, unready_since_s)
            continue
        before = sends_to.get(event.uid, {})
        now = {} if event.type == "DELETED" else ready_endpoints(event.object)
        sends_to[event.uid] = now
        early = now.keys() - was_ready
        found.faults += [f"endpoint {now[uid]} before its pod was Ready" for uid in early]
        gone = (before.keys() - now.keys()) & unready_since_s.keys()
        found.lags_s += [event.at_s - unready_since_s[uid] for uid in gone]
    left = {uid: name for ready in sends_to.values() for uid, name in ready.items()}
    stale_s = {uid: until_s - unready_since_s[uid] for uid in left.keys() & unready_since_s.keys()}
    found.lags_s += stale_s.values()
    found.faults += [
        f"an endpoint {late_s:.1f} s after its pod was Ready"
        for late_s in found.lags_s
        if late_s > allowed_s
    ]
    return found


def _note_pod(event: Seen, was_ready: set[str], unready_since_s: dict[str, float]) -> None:
    if serves(event.object) and event.type != "DELETED":
        was_ready.add(event.uid)
        unready_since_s.pop(event.uid, None)
    else:
        unready_since_s.setdefault(event.uid, event.at_s)


def ready_endpoints(endpoint_slice: Object) -> dict[str, str]:
    """Give uid -> name of the pods that a slice sends traffic to."""
    return {
        endpoint["targetRef"]["uid"]: endpoint["targetRef"]["name"]
        for endpoint in endpoint_slice.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
    }


def serves(pod: Object) -> bool:
    """Tell whether a pod may get traffic."""
    going = "deletionTimestamp" in pod["metadata"]
    return condition_of(pod, "Ready").get("status") == "True" and not going


def growth_pct(samples: Sequence[tuple[float, float]], *, after_s: float) -> float | None:
    """Give by how much a figure has grown from after_s on: its last third against its first.

    Args:
        samples: (seconds since the start, figure), in order.
        after_s: What comes before is warming up.

    Returns:
        Per cent of the first third; None with fewer than six samples after after_s.
    """
    figures = [figure for at_s, figure in samples if at_s >= after_s]
    third = len(figures) // 3
    if third < 2:
        return None
    first, last = (sum(part) / third for part in (figures[:third], figures[-third:]))
    return 100 * (last - first) / first


def _containers(pod: Object) -> list[Object]:
    return list(pod["status"].get("containerStatuses") or ())


def _name(obj: Object) -> str:
    return f"{obj['kind']} {obj['metadata']['name']}"
