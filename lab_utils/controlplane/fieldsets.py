"""Sets of fields, and how `metadata.managedFields` writes them (FieldsV1).

A field is a path whose steps are `f:<field or map key>`, `k:<keys of a list item>` or `v:<value in
a set>`. FieldsV1 is the tree of these steps: what is empty is in the set, and `"."` marks an inner
node that is in the set itself. Knows the shapes of the types, but neither managers nor conflicts.

Source:
    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
    and sigs.k8s.io/structured-merge-diff (fieldpath), whose rules these are.
"""

import json
from dataclasses import dataclass
from typing import Any

from lab_utils.controlplane import shapes
from lab_utils.controlplane.status import Object

Path = tuple[str, ...]
Fields = set[Path]
_MARK = "."
# Structs that Go holds by value from the root on: they are there before anybody sets them.
_BY_VALUE = frozenset({
    "V1ObjectMeta", "V1PodTemplateSpec", "V1PodSpec", "V1DeploymentStrategy",
    "V1LoadBalancerStatus", "V1NodeDaemonEndpoints", "V1DaemonEndpoint", "V1NodeSystemInfo",
    "V1EventSource",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Child:
    """One part of a value: its type, the (struct, field) that holds it, and what is there."""

    type: str
    place: tuple[str, str]
    value: Any

    @property
    def is_there_from_the_start(self) -> bool:
        """Say whether Go's empty object already has this part."""
        is_root = self.place[1] in ("spec", "status")
        return is_root or self.type in _BY_VALUE or self.place == ("V1PodSpec", "containers")

    def with_value(self, value: Any) -> "Child":
        """Give the same part with another value."""
        return Child(self.type, self.place, value)


def open_value(part: Child) -> dict[str, Child] | None:
    """Split a value into its parts by token; None where it has one owner as a whole."""
    if isinstance(part.value, dict):
        return _open_map(part)
    keys = shapes.merge_of(*part.place).apply_keys
    if not isinstance(part.value, list) or keys is None:
        return None
    item_type = part.type.removeprefix("[]")
    return {
        _token_for_item(item, keys) if keys else "v:" + json.dumps(item):
            Child(item_type, ("", ""), item)
        for item in part.value
    }  # fmt: skip


def _open_map(part: Child) -> dict[str, Child] | None:
    if part.type in shapes.ATOMIC_TYPES or part.place in shapes.ATOMIC_MAPS:
        return None
    if part.type.startswith("{}"):
        inner = part.type[2:]
        return {f"f:{key}": Child(inner, ("", ""), value) for key, value in part.value.items()}
    declared = shapes.fields(part.type)
    if not declared:
        return None
    return {
        f"f:{key}": Child(declared[key].type, (part.type, key), value)
        for key, value in part.value.items()
    }


def _token_for_item(item: Any, keys: tuple[str, ...]) -> str:
    """Name a list item by its keys: `k:{"name":"c"}`."""
    found = {key: item.get(key, shapes.KEY_DEFAULTS.get(key)) for key in sorted(keys)}
    return "k:" + json.dumps(
        {k: v for k, v in found.items() if v is not None}, separators=(",", ":")
    )


def fields_in(part: Child, at: Path = ()) -> Fields:
    """Collect what an applied value says: leaves and list items, not the maps around them."""
    found: Fields = set()
    for token, child in (open_value(part) or {}).items():
        path = (*at, token)
        inner = fields_in(child, path)
        found |= inner
        if not inner or token.startswith("k:"):
            found.add(path)
    return found


def _all_fields_in(part: Child, at: Path) -> Fields:
    """Collect every node of a value, itself and the inner ones too."""
    found = {at}
    for token, child in (open_value(part) or {}).items():
        found |= _all_fields_in(child, (*at, token))
    return found


def compare(old: Child, new: Child, at: Path = ()) -> tuple[Fields, Fields]:
    """Compare two values of one type.

    Returns:
        What was added or changed, and what was removed.
    """
    before, after = open_value(old) or {}, open_value(new) or {}
    changed: Fields = set()
    removed: Fields = set()
    for token in before.keys() - after.keys():
        removed |= _all_fields_in(before[token], (*at, token))
    for token, child in after.items():
        path = (*at, token)
        if token not in before and not child.is_there_from_the_start:
            changed |= _all_fields_in(child, path)
            continue
        was = before.get(token, child.with_value([] if isinstance(child.value, list) else {}))
        if was.value == child.value:
            continue
        if open_value(was) is None or open_value(child) is None:
            changed.add(path)
            continue
        inner_changed, inner_removed = compare(was, child, path)
        changed, removed = changed | inner_changed, removed | inner_removed
    return changed, removed


def read(tree: Object, at: Path = ()) -> Fields:
    """Read FieldsV1."""
    found = {at} if at and (not tree or _MARK in tree) else set()
    for token in tree.keys() - {_MARK}:
        found |= read(tree[token], (*at, token))
    return found


def write(fields: Fields) -> Object:
    """Write FieldsV1."""
    root: Object = {}
    for path in sorted(fields):
        node = root
        for depth, token in enumerate(path, 1):
            node = node.setdefault(token, {})
            if depth < len(path) and path[:depth] in fields:
                node[_MARK] = {}
    return root


def with_parents(fields: Fields) -> Fields:
    """Add to a set the fields around those in it."""
    return {path[:size] for path in fields for size in range(1, len(path) + 1)}


def readable(path: Path) -> str:
    """Write a field as people read it: `.spec.containers[name="c"].image`."""
    return "".join(_step(token) for token in path)


def _step(token: str) -> str:
    tag, _, rest = token.partition(":")
    if tag == "f":
        return f".{rest}"
    if tag == "v":
        return f"[={rest}]"
    keys = json.loads(rest).items()
    return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys) + "]"
