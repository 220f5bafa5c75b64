"""Events: what controllers did, and why something does not happen.

Hides how the same thing told again becomes a count, and many similar things one line, as in
client-go. What is told matters less than what is done: a refused Event is dropped.
Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

import itertools
import logging
import time
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import TypeVar

from lab_utils.controlplane.controllers.actions import Emit
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import rfc3339

_SIMILAR, _WINDOW = 10, timedelta(minutes=10)
_REMEMBERED = 4096
_log = logging.getLogger(__name__)
_Key = tuple[str, ...]
_Value = TypeVar("_Value")


class EventRecorder:
    """Writes Events, counting what repeats."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._names: OrderedDict[_Key, tuple[str, str]] = OrderedDict()
        self._similar: OrderedDict[_Key, deque[tuple[datetime, str]]] = OrderedDict()
        self._serial = itertools.count(time.time_ns())

    def record(self, event: Emit) -> None:
        """Create an Event, or count it on the one that says the same."""
        now = self._registry.clock()
        subject, message = _reference(event.regarding), self._condensed(event, now)
        key = (event.component, subject["uid"], event.type, event.reason, message)
        try:
            if not self._count(key, now):
                self._create(event, subject, message, key, now)
        except ApiError as exc:
            _log.debug("event %s dropped: %s", event.reason, exc)

    def _condensed(self, event: Emit, now: datetime) -> str:
        """Give the message; from the tenth different one on a common one, or a log would flood."""
        uid = event.regarding["metadata"]["uid"]
        key = (event.component, uid, event.type, event.reason)
        told = _remembered(self._similar, key) or deque(maxlen=_SIMILAR)
        self._similar[key] = told
        while told and told[0][0] < now - _WINDOW:
            told.popleft()
        if all(message != event.message for _, message in told):
            if len(told) == _SIMILAR:
                return f"(combined from similar events): {event.message}"
            told.append((now, event.message))
        return event.message

    def _count(self, key: _Key, now: datetime) -> bool:
        place = _remembered(self._names, key)
        known = self._registry.find("Event", *place) if place else None
        if known is None:
            return False
        again = {"count": known["count"] + 1, "lastTimestamp": rfc3339(now)}
        self._registry.update("Event", known | again, manager=key[0])
        return True

    def _create(self, event: Emit, subject: Object, message: str, key: _Key, now: datetime) -> None:
        namespace = subject.get("namespace", "default")
        name = f"{subject['name']}.{next(self._serial):x}"
        made = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": subject,
            "reason": event.reason,
            "message": message,
            "source": {"component": event.component},
            "firstTimestamp": rfc3339(now),
            "lastTimestamp": rfc3339(now),
            "count": 1,
            "type": event.type,
            "eventTime": None,
            "reportingComponent": event.component,
            "reportingInstance": "",
        }
        self._registry.create("Event", made, manager=event.component)
        self._names[key] = (namespace, name)


def _reference(obj: Object) -> Object:
    metadata = obj["metadata"]
    fields = ("namespace", "name", "uid", "resourceVersion")
    named = {field: metadata[field] for field in fields if field in metadata}
    return {"kind": obj["kind"], "apiVersion": obj["apiVersion"], **named}


def _remembered(memory: OrderedDict[_Key, _Value], key: _Key) -> _Value | None:
    found = memory.get(key)
    if found is not None:
        memory.move_to_end(key)
    while len(memory) > _REMEMBERED:
        memory.popitem(last=False)
    return found
