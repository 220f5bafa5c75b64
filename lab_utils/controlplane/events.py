"""Events as components tell them: what is the same becomes a count, what is similar one Event.

One correlator for the controllers and for each kubelet. Hides how client-go keeps a component that
repeats itself from flooding the cluster. Never writes: the recorders do, each in its own way.
Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ and
https://pkg.go.dev/k8s.io/client-go/tools/record (EventCorrelator and its defaults)
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import rfc3339

_COMBINED = "(combined from similar events): "
_SIMILAR = 10
"""So many messages of one reason, and the next one is told with the others."""
_WINDOW = timedelta(minutes=10)
_BURST, _PER_S = 25, 1 / 300
"""Events of one component about one object: at once, and again with time."""
_REMEMBERED = 1024
"""client-go remembers 4096, for clusters of thousands of pods; each costs some 2 kB."""
_IN_REFERENCE = ("namespace", "name", "uid", "resourceVersion")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Told:
    """One thing that happened to an object; type is Normal or Warning."""

    regarding: Object
    type: str
    reason: str
    message: str
    component: str
    host: str = ""
    field_path: str = ""

    @property
    def source(self) -> tuple[str, ...]:
        """Name who tells, about which object."""
        about = self.regarding["metadata"]
        where = (about.get("namespace", ""), about["name"], about["uid"])
        return self.component, self.host, self.regarding["kind"], *where


class Correlator:
    """Turns what a component tells into Events, for one process."""

    def __init__(self) -> None:
        self._similar: dict[Hashable, tuple[set[str], datetime]] = {}
        self._events: dict[Hashable, tuple[Object, str, int]] = {}
        self._budgets: dict[Hashable, tuple[float, datetime]] = {}

    def correlate(self, told: Told, now: datetime) -> Object | None:
        """Give the Event to write: a new one if its count is 1, else one that is there already.

        None when too much has been told about the object.
        """
        key, message = self._combine(told, now)
        event = _event(told, message, rfc3339(now))
        metadata, first, count = self._events.get(key, (event["metadata"], rfc3339(now), 0))
        event |= {"metadata": metadata, "firstTimestamp": first, "count": count + 1}
        _remember(self._events, key, (metadata, first, count + 1))
        return event if self._allows(told.source, now) else None

    def _combine(self, told: Told, now: datetime) -> tuple[Hashable, str]:
        """Give what the Event is known by, and its message."""
        similar = (*told.source, told.type, told.reason)
        messages, at = self._similar.get(similar, (set(), now))
        if now - at > _WINDOW:
            messages = set()
        messages.add(told.message)
        _remember(self._similar, similar, (messages, now))
        if len(messages) < _SIMILAR:
            return (*similar, told.field_path, told.message), told.message
        messages.pop()
        return similar, _COMBINED + told.message

    def _allows(self, source: Hashable, now: datetime) -> bool:
        """Take one from the budget of a source, which fills up with time."""
        left, at = self._budgets.get(source, (float(_BURST), now))
        left = min(_BURST, left + (now - at).total_seconds() * _PER_S)
        allowed = left >= 1
        _remember(self._budgets, source, (left - allowed, now))
        return allowed


def _remember(cache: dict[Hashable, _Value], key: Hashable, value: _Value) -> None:
    """Keep a value as the latest; forget the one that was used longest ago."""
    cache.pop(key, None)
    cache[key] = value
    if len(cache) > _REMEMBERED:
        del cache[next(iter(cache))]


def _event(told: Told, message: str, now: str) -> Object:
    about = told.regarding["metadata"]
    reference = {key: told.regarding[key] for key in ("kind", "apiVersion")}
    reference |= {key: about[key] for key in _IN_REFERENCE if key in about}
    reference |= {"fieldPath": told.field_path} if told.field_path else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about['name']}.{time.time_ns():x}",
            "namespace": about.get("namespace", "default"),
        },
        "involvedObject": reference,
        "reason": told.reason,
        "message": message,
        "source": {"component": told.component} | ({"host": told.host} if told.host else {}),
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": told.type,
        "eventTime": None,
        "reportingComponent": told.component,
        "reportingInstance": told.host,
    }
