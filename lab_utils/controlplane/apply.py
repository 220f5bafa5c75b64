"""Server-side apply: who owns which field, and what follows from it.

Hides `metadata.managedFields`: everyone who writes an object owns the fields it wrote; an applier
that stops naming a field it owned alone removes it; two who want different values conflict. Never
checks values and never fills in defaults.

Source:
    https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import copy
from dataclasses import dataclass, replace

from lab_utils.controlplane import schema, shapes
from lab_utils.controlplane.fieldsets import (
    Child,
    Fields,
    compare,
    fields_in,
    read,
    readable,
    with_parents,
    write,
)
from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.merging import duplicates, let_go, merge
from lab_utils.controlplane.status import ApiError, Object

Owner = tuple[str, str, str]
"""Manager, operation (Apply or Update) and subresource: who has one entry of managedFields."""
# Facts of the object, not wishes of a manager.
_HEADS = {("f:apiVersion",), ("f:kind",)}
_FACTS = {("f:metadata",)} | {
    ("f:metadata", f"f:{name}")
    for name in ("name", "namespace", "uid", "creationTimestamp", "generation", "managedFields",
                 "resourceVersion", "selfLink")
}  # fmt: skip


@dataclass(frozen=True)
class _Entry:
    """One entry of managedFields; a new one is of the version that is served."""

    fields: Fields
    time: str
    api_version: str = ""


def server_side_apply(
    kind: str,
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    now: str,
    subresource: str = "",
) -> Object:
    """Merge what a manager wants into an object, and note what it owns now.

    Args:
        kind: A served kind.
        live: The object as it is; None where there is none yet.
        applied: The manager's whole opinion, as it came; a field it no longer names is let go.
        manager: Who applies.
        force: Take fields over from others.
        now: Time for managedFields.
        subresource: What is written through, or "".

    Returns:
        A new object, before defaults; equal to live where nothing changes.

    Raises:
        ApiError: 409, another manager owns a field with another value; 500 as in Kubernetes, the
            applied object has unknown fields, wrong types or an item of a list twice.
    """
    wish = _writable(kind, _decode(kind, applied), subresource)
    before = live or {}
    entries = _entries(before)
    me: Owner = (manager, "Apply", subresource)
    named = fields_in(_root(kind, wish))
    merged = merge(_root(kind, copy.deepcopy(before)), _root(kind, wish))
    mine = entries.pop(me, None)
    if mine:
        kept = named.union(*(entry.fields for entry in entries.values()))
        merged = let_go(_root(kind, merged), with_parents(mine.fields) - with_parents(kept))
    changed, removed = compare(_root(kind, before), _root(kind, merged))
    changed, removed = _without_facts(changed), _without_facts(removed)
    if not force:
        _refuse_conflicts(entries, changed)
    _take_away(entries, changed | removed)
    if wanted := _without_facts(named):
        same = mine and mine.fields == wanted and not changed and not removed
        entries[me] = mine if mine and same else _Entry(wanted, now)
    return _with_entries(kind, merged, entries)


def record_update(
    kind: str,
    old: Object | None,
    new: Object,
    *,
    manager: str,
    now: str,
    subresource: str = "",
    operation: str = "Update",
) -> Object:
    """Note in an object's managedFields what a create, update or patch has changed.

    Args are those of `server_side_apply`; new has its defaults. An operation "Apply" has noted
    everything itself.
    """
    if operation == "Apply":
        return new
    entries = _entries(old or {})
    me: Owner = (manager, "Update", subresource)
    changed, removed = compare(_root(kind, old or {}), _root(kind, new))
    untouched = _untouched(kind, subresource)
    changed = {path for path in _without_facts(changed) if path[0] != f"f:{untouched}"}
    _take_away(entries, changed | removed)
    if changed:
        kept = entries[me].fields if me in entries else set()
        entries[me] = _Entry(kept | changed, now)
    return _with_entries(kind, new, entries)


def _root(kind: str, obj: Object) -> Child:
    return Child(shapes.type_of(kind).name, ("", ""), obj)


def _untouched(kind: str, subresource: str) -> str:
    """Name the field that a write through this endpoint cannot touch; "" for none."""
    if not BY_NAME[kind].has_status:
        return ""
    return "spec" if subresource == "status" else "status"


def _writable(kind: str, obj: Object, subresource: str) -> Object:
    untouched = _untouched(kind, subresource)
    return {key: value for key, value in obj.items() if key != untouched}


def _without_facts(fields: Fields) -> Fields:
    """Leave out what nobody owns: names, versions, times."""
    return {path for path in fields if path[:2] not in _FACTS and path[:1] not in _HEADS}


def _entries(obj: Object) -> dict[Owner, _Entry]:
    return {
        (one["manager"], one["operation"], one.get("subresource", "")): _Entry(
            read(one["fieldsV1"]), one.get("time", ""), one["apiVersion"]
        )
        for one in obj.get("metadata", {}).get("managedFields", [])
    }


def _with_entries(kind: str, obj: Object, entries: dict[Owner, _Entry]) -> Object:
    listed = []
    for owner, entry in sorted(entries.items(), key=lambda one: (one[0][1], one[1].time, one[0])):
        row = {
            "manager": owner[0], "operation": owner[1],
            "apiVersion": entry.api_version or BY_NAME[kind].api_version, "time": entry.time,
            "fieldsType": "FieldsV1", "fieldsV1": write(entry.fields), "subresource": owner[2],
        }  # fmt: skip
        listed.append({key: value for key, value in row.items() if value})
    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}
    return obj | {"metadata": metadata | ({"managedFields": listed} if listed else {})}


def _take_away(entries: dict[Owner, _Entry], fields: Fields) -> None:
    """Take fields from everyone who has them; who has nothing left is forgotten."""
    for owner, entry in list(entries.items()):
        kept = entry.fields - fields
        entries[owner] = replace(entry, fields=kept)
        if not kept:
            del entries[owner]


def _refuse_conflicts(others: dict[Owner, _Entry], changed: Fields) -> None:
    conflicts = [
        (_describe(owner, entry), readable(path))
        for owner, entry in others.items()
        for path in sorted(entry.fields & changed)
    ]
    if not conflicts:
        return
    plural = "s" if len(conflicts) > 1 else ""
    message = f"Apply failed with {len(conflicts)} conflict{plural}: {_list_conflicts(conflicts)}"
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, path in conflicts
    ]
    raise ApiError(409, "Conflict", message, details={"causes": causes})


def _describe(owner: Owner, entry: _Entry) -> str:
    manager, operation, subresource = owner
    through = f' with subresource "{subresource}"' if subresource else ""
    version = f" using {entry.api_version}" if operation == "Update" else ""
    return f'"{manager}"{through}{version}'


def _list_conflicts(conflicts: list[tuple[str, str]]) -> str:
    if len(conflicts) == 1:
        return "conflict with {}: {}".format(*conflicts[0])
    lines = []
    for who in sorted({who for who, _ in conflicts}):
        lines.append(f"conflicts with {who}:")
        lines += [f"- {path}" for other, path in conflicts if other == who]
    return "\n".join(lines)


def _decode(kind: str, applied: Object) -> Object:
    """Read what is applied as strictly as Kubernetes does: nothing unknown, no item twice."""
    known, unknown = schema.decode(kind, applied)
    problems = [f".{text.split(chr(34))[1]}: field not declared in schema" for text in unknown]
    problems += duplicates(_root(kind, known), "")
    if not problems:
        return known
    row, metadata = BY_NAME[kind], known.get("metadata", {})
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    text = problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])
    what = f"{name}; {row.group}/{row.version}, Kind={kind}"
    message = f"failed to create typed patch object ({what}): {text}"
    raise ApiError(500, "InternalError", message)
