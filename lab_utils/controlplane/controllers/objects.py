"""Small questions every controller asks of an API object, and the few edits they share.

Hides the optional fields of the wire format. Never edits its arguments.
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339, rfc3339

Key = tuple[str, str, str]
"""Kind, namespace ("" for cluster-scoped kinds) and name of an object."""


def key_of(obj: Object) -> Key:
    """Name an object."""
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def name_of(obj: Object) -> str:
    """Give the name."""
    name: str = obj["metadata"]["name"]
    return name


def labels_of(obj: Object) -> dict[str, str]:
    """Give the labels; none is {}."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """Give the annotations; none is {}."""
    return obj["metadata"].get("annotations") or {}


def is_terminating(obj: Object) -> bool:
    """Tell whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Object) -> Object | None:
    """Give the one ownerReference whose controller is true."""
    references = obj["metadata"].get("ownerReferences") or ()
    return next((ref for ref in references if ref.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Tell whether owner is the controller of obj."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def controller_reference(owner: Object) -> Object:
    """Make the ownerReference of an object that owner creates or adopts."""
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    return reference | {"controller": True, "blockOwnerDeletion": True}


def condition_of(obj: Object, kind: str) -> Object | None:
    """Give one of status.conditions."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition["type"] == kind), None)


def is_condition(obj: Object, kind: str, status: str = "True") -> bool:
    """Tell whether a condition is there and has this status."""
    condition = condition_of(obj, kind)
    return condition is not None and condition["status"] == status


def is_ready(pod: Object) -> bool:
    """Tell whether a pod's Ready condition is True."""
    return is_condition(pod, "Ready")


def is_finished(pod: Object) -> bool:
    """Tell whether a pod has ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def available_in(pod: Object, min_ready_s: int, now: datetime) -> float | None:
    """Give the seconds until a pod has been ready for long enough; None if it is not ready."""
    ready = condition_of(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    if not min_ready_s:
        return 0.0
    since = parse_rfc3339(ready["lastTransitionTime"])
    return max(0.0, (since + timedelta(seconds=min_ready_s) - now).total_seconds())


def scaled(value: int | str, total: int, *, round_up: bool) -> int:
    """Resolve an IntOrString: 3 is 3, "25%" is that part of total."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * total
    return math.ceil(share / 100) if round_up else share // 100


def without_condition(conditions: Iterable[Object], kind: str) -> list[Object]:
    """Give the other conditions."""
    return [condition for condition in conditions if condition["type"] != kind]


def with_condition(conditions: Iterable[Object], condition: Object) -> list[Object]:
    """Set a condition as the workload controllers do.

    Same status and reason: nothing changes, not even the message's times. Same status, other
    reason: lastTransitionTime stays. A changed condition moves to the end of the list.
    """
    conditions = list(conditions)
    old = next((item for item in conditions if item["type"] == condition["type"]), None)
    if old and (old["status"], old.get("reason")) == (condition["status"], condition["reason"]):
        return conditions
    if old and old["status"] == condition["status"]:
        condition = condition | {"lastTransitionTime": old["lastTransitionTime"]}
    return [*without_condition(conditions, condition["type"]), condition]


def stamped(obj: Object, condition: Object, now: datetime) -> Object:
    """Give a condition with the time since when it has had this status."""
    old = condition_of(obj, condition["type"]) or {}
    kept = old.get("status") == condition["status"]
    return condition | {"lastTransitionTime": old["lastTransitionTime"] if kept else rfc3339(now)}


def set_condition(obj: Object, condition: Object) -> Object:
    """Give the object with a condition in its predecessor's place, or else at the end."""
    status = obj.get("status") or {}
    by_type = {item["type"]: item for item in status.get("conditions") or ()}
    by_type[condition["type"]] = condition
    return obj | {"status": status | {"conditions": list(by_type.values())}}
