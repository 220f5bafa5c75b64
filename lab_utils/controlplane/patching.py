"""One PATCH: which of the patch formats it is, and whether its result can still be understood.

The formats themselves are `patch` and `apply`.
"""

import json
import re
from typing import Any

from lab_utils.controlplane import schema
from lab_utils.controlplane.decoding import require_name
from lab_utils.controlplane.parsing import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from lab_utils.controlplane.patch import (
    go_text,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)
from lab_utils.controlplane.status import ApiError, Cause, Object, bad_request, invalid
from lab_utils.controlplane.warn import warn

_GO_TYPES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number"}


def patched(kind: str, live: Object, patch: Any, content_type: str, validation: str) -> Object:
    """Apply a patch and read the result as any body is read: types, unknown fields, the name.

    Every format but an apply patch's; kind may also be Scale. The result is in canonical form.

    Raises:
        ApiError: 400, the body is no such patch; 422 or 500, it does not fit the object.
    """
    result = _applied(kind, live, patch, content_type)
    if not isinstance(result, dict):
        raise _wrong_body(result, f"a {kind}")
    shown = go_text(patch) if content_type == STRATEGIC_PATCH else _compact(result)
    why = schema.decode_error(kind, result)
    if why and content_type == STRATEGIC_PATCH:
        why = _as_converter(why)
    unknown = [] if why else schema.check(kind, result)
    if unknown and validation == "Strict":
        why = f"strict decoding error: {', '.join(unknown)}"
    if why:
        cause = Cause("FieldValueInvalid", f"Invalid value: {json.dumps(shown)}: {why}", "patch")
        raise invalid("", "", "", [cause])
    for text in unknown if validation == "Warn" else ():
        warn(text)
    require_name(result, live["metadata"]["name"])
    return schema.drop_unknown(kind, result)


def _applied(kind: str, live: Object, patch: Any, content_type: str) -> Any:
    if content_type == JSON_PATCH:
        if not isinstance(patch, list):
            raise _wrong_body(patch, "[]handlers.jsonPatchOp")
        return json_patch(live, patch)
    if patch is None and content_type == MERGE_PATCH:
        raise bad_request("Invalid JSON Patch")
    if not isinstance(patch, dict):
        raise _wrong_body(patch, "map[string]interface {}")
    if content_type == MERGE_PATCH:
        return merge_patch(live, patch)
    return strategic_merge_patch(kind, live, patch)


def _wrong_body(body: Any, wanted: str) -> ApiError:
    seen = _GO_TYPES.get(type(body), "number")
    return bad_request(
        f"error decoding patch: json: cannot unmarshal {seen} into Go value of type {wanted}"
    )


def named(kind: str, applied: Any, name: str) -> Object:
    """Give an apply patch with its object's name; the URL is right where the body is silent.

    Raises:
        ApiError: 400, it is no such object, names another one, or brings managedFields along.
    """
    if not isinstance(applied, dict) or not applied.get("kind") or not applied.get("apiVersion"):
        raise bad_request("invalid object type: /, Kind=")
    schema.check(kind, applied)
    metadata = dict(applied.get("metadata") or {})
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    require_name({"metadata": {"name": name} | metadata}, name)
    return applied | {"metadata": metadata | {"name": name}}


def _compact(obj: Object) -> str:
    """Write an object as Go's patch library leaves it: sorted at the top, as it was inside."""
    return json.dumps(dict(sorted(obj.items())), separators=(",", ":"), ensure_ascii=False)


def _as_converter(why: str) -> str:
    """Word a type error as Go's converter of maps does: strategic patches never become JSON."""
    match = re.match(r"json: cannot unmarshal (\w+).* of type (\S+)$", why)
    if match is None:
        return why
    seen, wanted = match.groups()
    if wanted.startswith("[]"):
        return f"cannot restore slice from {'map' if seen == 'object' else seen}"
    if "." in wanted:
        return f"cannot restore struct from: {'slice' if seen == 'array' else seen}"
    return f"unrecognized type: {wanted}"
