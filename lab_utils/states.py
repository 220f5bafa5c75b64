"""What changes of objects say about a run: who was ready when, and what the cluster says. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from lab_utils.clock import Clock
from lab_utils.conditions import is_ready
from lab_utils.tables import make_table
from lab_utils.watches import Change, Gap

Object = dict[str, Any]
_SERVICE_LABEL = "kubernetes.io/service-name"


def tabulate_states(changes: Iterable[Change], clock: Clock) -> pd.DataFrame:
    """Say when pods, endpoints and nodes became ready, or no longer were.

    Args:
        changes: Of pods, EndpointSlices and nodes, in any order.
        clock: The run's clock.

    Returns:
        The states table by time: one row per object at the start and one per change of ready or
        reason. The reason of a pod is why it waits or ended, else its phase; of an endpoint its
        Service; of a node that of its Ready condition. What is deleted is not ready, "Deleted".
    """
    ordered = sorted(changes, key=lambda change: change.perf_ns)
    roles = {c.object["metadata"]["name"]: role_of(c.object) for c in ordered if c.kind == "pods"}
    last: dict[tuple[str, str, str], tuple[bool, str]] = {}
    rows = []
    for change in ordered:
        for row in _STATES[change.kind](change, last):
            key = (row["kind"], row["name"], row.pop("of", ""))
            state = row["ready"], row["reason"]
            if last.get(key) != state:
                last[key] = state
                role = roles.get(row["name"], "")
                rows.append({"t_s": clock.at_s(change.perf_ns), "role": role} | row)
    return make_table("states", rows)


def role_of(pod: Object) -> str:
    """Give the label that says what a pod is for; "" if it has none."""
    return str((pod["metadata"].get("labels") or {}).get("role", ""))


def _ready_condition(obj: Object) -> Object:
    conditions: list[Object] = obj.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == "Ready"), {})


_Known = dict[tuple[str, str, str], tuple[bool, str]]


def _pod_states(change: Change, known: _Known) -> Iterator[Object]:
    pod = change.object
    reason = "Deleted" if change.deleted else _reason_of(pod)
    ready = not change.deleted and is_ready(pod)
    node = pod["spec"].get("nodeName", "")
    yield {"kind": "pod", "name": _name(pod), "node": node, "ready": ready, "reason": reason}


def _reason_of(pod: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status", {})
    for container in status.get("containerStatuses") or []:
        for state in ("waiting", "terminated"):
            if reason := (container.get("state", {}).get(state) or {}).get("reason"):
                return str(reason)
    return str(status.get("phase", ""))


def _node_states(change: Change, known: _Known) -> Iterator[Object]:
    name, condition = _name(change.object), _ready_condition(change.object)
    ready = not change.deleted and is_ready(change.object)
    reason = "Deleted" if change.deleted else str(condition.get("reason", ""))
    yield {"kind": "node", "name": name, "node": name, "ready": ready, "reason": reason}


def _endpoint_states(change: Change, known: _Known) -> Iterator[Object]:
    """Give the endpoints of a slice, and those that are no longer in it."""
    piece = change.object
    service = (piece["metadata"].get("labels") or {}).get(_SERVICE_LABEL, "")
    of = _name(piece)
    there = {} if change.deleted else {_target(one): one for one in piece.get("endpoints") or []}
    for name, endpoint in there.items():
        ready = bool((endpoint.get("conditions") or {}).get("ready"))
        node = endpoint.get("nodeName") or ""
        yield {
            "kind": "endpoint", "name": name, "node": node, "ready": ready, "reason": service,
            "of": of,
        }  # fmt: skip
    for kind, name, slice_name in list(known):
        if (kind, slice_name) == ("endpoint", of) and name not in there:
            yield {"kind": kind, "name": name, "ready": False, "reason": service, "of": of}


def ready_urls(slices: Iterable[Object], service: str) -> list[str]:
    """Give the base URLs of the Ready pods behind a Service.

    Args:
        slices: EndpointSlices, of any Service.
        service: Its name.
    """
    return sorted(
        f"http://{endpoint['addresses'][0]}:{port['port']}"
        for piece in slices
        if (piece["metadata"].get("labels") or {}).get(_SERVICE_LABEL) == service
        for port in (piece.get("ports") or [])[:1]
        for endpoint in piece.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready")
    )


_STATES = {"pods": _pod_states, "nodes": _node_states, "endpointslices": _endpoint_states}


def _target(endpoint: Object) -> str:
    return str((endpoint.get("targetRef") or {}).get("name") or endpoint["addresses"][0])


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def tabulate_events(events: Sequence[Object], clock: Clock) -> pd.DataFrame:
    """Put Kubernetes Events on a run's clock.

    Args:
        events: Events as on the wire (core/v1 or events.k8s.io/v1).
        clock: The run's clock.

    Returns:
        The events table by time. Most components stamp whole seconds, so t_s may be up to 1 s
        early.
    """
    rows = []
    for event in events:
        about = event.get("involvedObject") or event.get("regarding") or {}
        rows.append(
            {
                "t_s": clock.of_wall(_happened_at(event)),
                "type": event.get("type"),
                "reason": event.get("reason"),
                "kind": about.get("kind"),
                "name": about.get("name"),
                "message": event.get("message") or event.get("note"),
            }
        )
    return make_table("events", sorted(rows, key=lambda row: row["t_s"]))


def _happened_at(event: Object) -> datetime:
    series = event.get("series") or {}
    stamp: str = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    return datetime.fromisoformat(stamp)


def tabulate_gaps(gaps: Iterable[Gap], clock: Clock, end_ns: int) -> pd.DataFrame:
    """Put gaps on a run's clock; one that is not over lasts until end_ns."""
    rows = [
        {
            "start_s": clock.at_s(gap.start_ns),
            "end_s": clock.at_s(gap.end_ns or end_ns),
            "source": gap.source,
            "reason": gap.reason,
        }
        for gap in gaps
    ]
    return make_table("gaps", sorted(rows, key=lambda row: row["start_s"]))
