"""What cells and columns of any kind are made of.

A cell takes the object and the time in seconds since the epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import human_duration, parse_rfc3339

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
Cell = Callable[[Object, float], Any]


@dataclass(frozen=True)
class Column:
    """One column: priority 0 is always shown, 1 with `-o wide`."""

    name: str
    cell: Cell
    priority: int = 0
    type: str = "string"

    def definition(self) -> Object:
        """Give the wire form."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": "",
            "priority": self.priority,
        }


Columns = tuple[Column, ...]


def field(path: str, default: Any = NONE) -> Cell:
    """Give a cell that shows one field: `spec.nodeName`."""
    steps = path.split(".")

    def cell(obj: Object, _now: float) -> Any:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return default if value in (None, "") else value

    return cell


def text(path: str, default: str) -> Cell:
    """Give a cell that shows one field as text, whatever its type is."""
    inner = field(path, default)
    return lambda obj, now: str(inner(obj, now))


def always(value: Any) -> Cell:
    """Give a cell that shows the same for every object."""
    return lambda _obj, _now: value


def age(moment: str | None, now: float) -> str:
    """Say how long ago a moment was: `5m`."""
    return human_duration(now - parse_rfc3339(moment).timestamp()) if moment else UNKNOWN


def since_creation(obj: Object, now: float) -> str:
    """Show how old an object is."""
    return age(obj["metadata"].get("creationTimestamp"), now)


def pairs(labels: dict[str, str] | None) -> str:
    """Write labels: `app=web,tier=a`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def selector(obj: Object, _now: float) -> str:
    """Write a LabelSelector as kubectl does: `app=web,tier in (a,b),!old`."""
    selector = obj["spec"].get("podSelector") or obj["spec"].get("selector") or {}
    if obj["kind"] == "Service":
        return pairs(selector)
    terms = [pairs(selector["matchLabels"])] if selector.get("matchLabels") else []
    for rule in selector.get("matchExpressions", ()):
        values = ",".join(sorted(rule.get("values") or ()))
        terms.append(_EXPRESSIONS[rule["operator"]].format(key=rule["key"], values=values))
    return ",".join(terms) or NONE


_EXPRESSIONS = {
    "In": "{key} in ({values})", "NotIn": "{key} notin ({values})",
    "Exists": "{key}", "DoesNotExist": "!{key}",
}  # fmt: skip
NAME = Column("Name", field("metadata.name"))
AGE = Column("Age", since_creation)
