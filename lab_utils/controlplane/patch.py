"""The three patches that change an object by describing the change.

JSON patch (a list of operations), JSON merge patch (null removes, lists are replaced) and strategic
merge patch (lists are merged by a key, with directives). Pure: the object that comes in is never
changed. Server-side apply, the fourth, is `apply`.

Source:
    RFC 6902, RFC 7386 and
    https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

import copy
import json
from typing import Any

from lab_utils.controlplane import shapes
from lab_utils.controlplane.status import ApiError, Object

_DIRECTIVE, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DELETE_VALUES = "$setElementOrder/", "$deleteFromPrimitiveList/"


def json_patch(obj: Object, ops: list[Object]) -> Object:
    """Apply the operations of a JSON patch, all or none.

    Raises:
        ApiError: 422, an operation cannot be applied.
    """
    # A pointer "/a/b" splits into "", "a" and "b": the whole object is just one more key.
    root = {"": copy.deepcopy(obj)}
    try:
        for op in ops:
            _operate(root, op)
        return root[""]
    except (KeyError, IndexError, ValueError, TypeError) as exc:
        message = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", message, details={}) from exc


def _operate(root: Object, op: Object) -> None:
    name, path, value = op["op"], op["path"], op.get("value")
    if name == "move":
        holder, key = _find(root, op["from"])
        name, value = "add", holder.pop(key)
    elif name == "copy":
        name, value = "add", copy.deepcopy(_get(root, op["from"]))
    if name == "add":
        holder, key = _find(root, path, new=True)
        if isinstance(holder, list):
            holder.insert(key, value)
        else:
            holder[key] = value
    elif name == "replace":
        holder, key = _find(root, path)
        holder[key] = value
    elif name == "remove":
        holder, key = _find(root, path)
        holder.pop(key)
    elif name != "test" or _get(root, path) != value:
        raise ValueError(name)


def _find(root: Object, pointer: Any, *, new: bool = False) -> tuple[Any, Any]:
    """Find what holds a place, and the key or index of the place in it."""
    if not isinstance(pointer, str) or pointer[:1] not in ("", "/"):
        raise ValueError(pointer)
    *steps, last = [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")]
    holder: Any = root
    for step in steps:
        holder = holder[_key(holder, step)]
    return holder, _key(holder, last, new=new)


def _key(holder: Any, part: str, *, new: bool = False) -> Any:
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list):
        raise TypeError(part)
    index = len(holder) if new and part == "-" else int(part)
    if index not in range(len(holder) + new):
        raise IndexError(part)
    return index


def _get(root: Object, pointer: Any) -> Any:
    """Read a value; an absent key reads as null, as in Kubernetes' implementation."""
    holder, key = _find(root, pointer)
    return holder.get(key) if isinstance(holder, dict) else holder[key]


def merge_patch(obj: Object, patch: Object) -> Object:
    """Apply a JSON merge patch: objects merge, null removes, everything else replaces."""
    result = dict(obj)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = merge_patch(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def strategic_merge_patch(kind: str, obj: Object, patch: Object) -> Object:
    """Apply a strategic merge patch: lists of things with a name merge by that name.

    The type of the kind says which lists merge and by which key; the patch may hold the directives
    `$patch`, `$retainKeys`, `$setElementOrder/x` and `$deleteFromPrimitiveList/x`.

    Raises:
        ApiError: 500 as in Kubernetes, a directive or a merge key is wrong.
    """
    return _merge_map(shapes.type_of(kind).name, copy.deepcopy(obj), patch)


def _merge_map(type_name: str, original: Object, patch: Object) -> Object:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != _DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise _internal(f"unknown patch type: {directive} in map: {go_text(patch)}")
    if _RETAIN in patch:
        kept = _directive_list(patch, _RETAIN, "retainKeys")
        original = {k: v for k, v in original.items() if k in kept}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            original.pop(key, None)
        else:
            original[key] = _merge_value(type_name, key, original.get(key), value, patch)
    for key in [key.partition("/")[2] for key in patch if key.startswith((_ORDER, _DELETE_VALUES))]:
        if key not in patch and key in original:
            original[key] = _merge_value(type_name, key, original[key], [], patch)
    return original


def _merge_value(type_name: str, key: str, original: Any, value: Any, patch: Object) -> Any:
    field = shapes.fields(type_name).get(key)
    inner = field.type if field else ""
    if isinstance(value, dict) and not inner.startswith("[]"):
        return _merge_map(inner, original if isinstance(original, dict) else {}, value)
    merge_key = shapes.merge_of(type_name, key).patch_key
    if not isinstance(value, list) or merge_key is None:
        return _without_directives(value)
    original = original if isinstance(original, list) else []
    order = None
    if _ORDER + key in patch:
        order = _directive_list(patch, _ORDER + key, "setElementOrder list")
    if merge_key == "":
        deleted = _directive_list(patch, _DELETE_VALUES + key, "primitive list")
        merged = [item for item in original if item not in deleted]
        merged += [item for item in value if item not in merged]
        return _reorder(merged, value, original, order, lambda item: item)
    if not all(isinstance(item, dict) for item in [*value, *(order or ())]):
        return value  # no list of objects: what reads the result says so
    merged = _merge_list(inner.removeprefix("[]"), merge_key, original, value)
    return _reorder(merged, value, original, order, lambda item: item.get(merge_key))


def _directive_list(patch: Object, directive: str, what: str) -> list[Any]:
    value = patch.get(directive, [])
    if not isinstance(value, list):
        raise _internal(f"invalid patch format of {what}")
    return value


def _merge_list(type_name: str, merge_key: str, original: list[Any], patch: list[Any]) -> list[Any]:
    if any(item.get(_DIRECTIVE) == "replace" and len(item) == 1 for item in patch):
        return [_without_directives(item) for item in patch if _DIRECTIVE not in item]
    result = list(original)
    for item in patch:
        if merge_key not in item:
            why = f"does not contain declared merge key: {merge_key}"
            raise _internal(f"map: {go_text(item)} {why}")
        same = [i for i, old in enumerate(result) if old.get(merge_key) == item[merge_key]]
        if item.get(_DIRECTIVE) == "delete":
            result = [old for i, old in enumerate(result) if i not in same]
        elif same:
            result[same[0]] = _merge_map(type_name, result[same[0]], item)
        else:
            result.append(_merge_map(type_name, {}, item))
    return result


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_directives(v) for k, v in value.items() if not k.startswith("$")}
    if isinstance(value, list):
        return [_without_directives(item) for item in value]
    return value


def _reorder(
    merged: list[Any], patch: list[Any], original: list[Any], order: list[Any] | None, key: Any
) -> list[Any]:
    """Put the items of a merged list in the order Kubernetes gives them.

    Items of the patch (or of `$setElementOrder`) follow the patch; the others stay in their own
    order, and keep their place among those the patch also names.
    """
    if order is not None:
        _check_order(patch, order, key)
    wanted = [key(item) for item in (patch if order is None else order)]
    by_patch = sorted((m for m in merged if key(m) in wanted), key=lambda m: wanted.index(key(m)))
    server_only = [m for m in merged if key(m) not in wanted]
    place = {str(key(item)): i for i, item in reversed(list(enumerate(original)))}
    result: list[Any] = []
    while by_patch and server_only:
        ours = place.get(str(key(by_patch[0])), -1)
        # A key that is an object may have lost its nulls; what decodes the result refuses it.
        theirs = place.get(str(key(server_only[0])), len(original))
        result.append(by_patch.pop(0) if ours < theirs else server_only.pop(0))
    return result + by_patch + server_only


def _check_order(patch: list[Any], order: list[Any], key: Any) -> None:
    """Refuse an order that is not the patch's own; what the patch deletes has no place in it."""
    kept = [key(p) for p in patch if not (isinstance(p, dict) and _DIRECTIVE in p)]
    wanted = [key(item) for item in order]
    if [one for one in wanted if one in kept] != kept:
        raise _internal(
            f"The order in patch list:\n{go_text(patch)}\n"
            f" doesn't match $setElementOrder list:\n{go_text(order)}\n"
        )


def _internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", message)


def go_text(value: Any) -> str:
    """Write a value as Go's `%v` does: `map[image:x name:n]`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{go_text(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)
