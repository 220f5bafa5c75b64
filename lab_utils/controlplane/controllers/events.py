"""Events: what controllers did, and why something does not happen.

Hides how the same thing told again becomes a count: an Event's name is made of what it says. What
is told matters less than what is done: a refused Event is dropped.
Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

import hashlib
import logging

from lab_utils.controlplane.controllers.actions import Emit
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.timestamps import rfc3339

_log = logging.getLogger(__name__)


def record(registry: Registry, event: Emit) -> None:
    """Create an Event, or count it on the one that says the same."""
    made = _event(event, rfc3339(registry.clock()))
    metadata = made["metadata"]
    known = registry.find("Event", metadata["namespace"], metadata["name"])
    try:
        if known is None:
            registry.create("Event", made, manager=event.component)
        else:
            again = {"count": known["count"] + 1, "lastTimestamp": made["lastTimestamp"]}
            registry.update("Event", known | again, manager=event.component)
    except ApiError as exc:
        _log.debug("event %s dropped: %s", event.reason, exc)


def _event(event: Emit, now: str) -> Object:
    about = event.regarding["metadata"]
    told = "\n".join((event.component, about["uid"], event.type, event.reason, event.message))
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    fields = ("namespace", "name", "uid", "resourceVersion")
    subject = {key: event.regarding[key] for key in ("kind", "apiVersion")}
    subject |= {key: about[key] for key in fields if key in about}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about['name']}.{digest}",
            "namespace": about.get("namespace", "default"),
        },
        "involvedObject": subject,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": event.component},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": event.type,
        "eventTime": None,
        "reportingComponent": event.component,
        "reportingInstance": "",
    }
