"""Sets of fields as `metadata.managedFields` writes them (FieldsV1), and their arithmetic.

A set is a tree. Its keys are `f:<field or map key>`, `k:<keys of a list item>` and `v:<value in a
set>`; an empty tree is a field that is in the set, and `"."` marks an inner node that is in the set
itself. Knows the shapes of the types, but neither managers nor conflicts.

Source:
    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
    and sigs.k8s.io/structured-merge-diff (fieldpath), whose rules these are.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lab_utils.controlplane import shapes

Tree = dict[str, Any]
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
    token = token_for_item if keys else token_for_value
    return {token(item, keys): Child(item_type, ("", ""), item) for item in part.value}


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


def token_for_item(item: Any, keys: tuple[str, ...]) -> str:
    """Name a list item by its keys: `k:{"name":"c"}`."""
    found = {key: item.get(key, shapes.KEY_DEFAULTS.get(key)) for key in sorted(keys)}
    return "k:" + json.dumps(
        {k: v for k, v in found.items() if v is not None}, separators=(",", ":")
    )


def token_for_value(item: Any, _keys: tuple[str, ...]) -> str:
    """Name a value in a set: `v:"x"`."""
    return "v:" + json.dumps(item)


def fields_in(part: Child) -> Tree:
    """Collect what an applied value says: leaves and list items, not the maps around them."""
    tree: Tree = {}
    for token, child in (open_value(part) or {}).items():
        tree[token] = fields_in(child)
        if token.startswith("k:"):
            tree[token][_MARK] = {}
    return tree


def all_fields_in(part: Child) -> Tree:
    """Collect every node of a value, inner ones too."""
    tree = {token: all_fields_in(child) for token, child in (open_value(part) or {}).items()}
    return {_MARK: {}, **tree} if tree else tree


def compare(old: Child, new: Child) -> tuple[Tree, Tree]:
    """Compare two values of one type.

    Returns:
        What was added or changed, and what was removed.
    """
    before, after = open_value(old) or {}, open_value(new) or {}
    changed: Tree = {}
    removed = {token: all_fields_in(before[token]) for token in before if token not in after}
    for token, child in after.items():
        if token not in before and not child.is_there_from_the_start:
            changed[token] = all_fields_in(child)
            continue
        was = before.get(token, child.with_value([] if isinstance(child.value, list) else {}))
        if was.value == child.value:
            continue
        if open_value(was) is None or open_value(child) is None:
            changed[token] = {}
            continue
        inner_changed, inner_removed = compare(was, child)
        changed |= {token: inner_changed} if inner_changed else {}
        removed |= {token: inner_removed} if inner_removed else {}
    return changed, removed


def _is_member(tree: Tree | None) -> bool:
    return tree is not None and (not tree or _MARK in tree)


def _combine(left: Tree, right: Tree, keep: Callable[[bool, bool], bool]) -> Tree:
    result: Tree = {}
    for token in [*left, *(token for token in right if token not in left)]:
        if token == _MARK:
            continue
        ours, theirs = left.get(token), right.get(token)
        inner = _combine(ours or {}, theirs or {}, keep)
        if keep(_is_member(ours), _is_member(theirs)):
            result[token] = {_MARK: {}, **inner} if inner else {}
        elif inner:
            result[token] = inner
    return result


def union(*trees: Tree) -> Tree:
    """Collect the fields of any of the sets."""
    result: Tree = {}
    for tree in trees:
        result = _combine(result, tree, lambda ours, theirs: ours or theirs)
    return result


def minus(left: Tree, right: Tree) -> Tree:
    """Collect the fields of the first set that are not in the second."""
    return _combine(left, right, lambda ours, theirs: ours and not theirs)


def common(left: Tree, right: Tree) -> Tree:
    """Collect the fields of both sets."""
    return _combine(left, right, lambda ours, theirs: ours and theirs)


def paths(tree: Tree, prefix: str = "") -> Iterator[str]:
    """List the fields of a set as people read them: `.spec.containers[name="c"].image`."""
    for token in sorted(key for key in tree if key != _MARK):
        path = prefix + readable(token)
        if _is_member(tree[token]):
            yield path
        yield from paths(tree[token], path)


def readable(token: str) -> str:
    """Write one step of a path: `.image`, `[name="c"]` or `[="x"]`."""
    tag, _, rest = token.partition(":")
    if tag == "f":
        return f".{rest}"
    if tag == "v":
        return f"[={rest}]"
    keys = json.loads(rest).items()
    return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys) + "]"
