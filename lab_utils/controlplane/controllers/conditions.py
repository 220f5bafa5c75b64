"""status.conditions: set one without losing when it last changed.

Never edits its arguments.
"""

from collections.abc import Iterable

from lab_utils.controlplane.status import Object


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


def replaced(conditions: Iterable[Object], condition: Object) -> list[Object]:
    """Put a condition where its predecessor stands; a new one goes to the end."""
    conditions = list(conditions)
    types = [item["type"] for item in conditions]
    if condition["type"] not in types:
        return [*conditions, condition]
    at = types.index(condition["type"])
    return [*conditions[:at], condition, *conditions[at + 1 :]]
