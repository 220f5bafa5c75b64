"""Server-side apply: who owns which field, and what follows from it.

Hides `metadata.managedFields`: everyone who writes an object owns the fields it wrote; an applier
that stops naming a field it owned alone removes it; two who want different values conflict. Never
checks values and never fills in defaults.

Source:
    https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import copy

from lab_utils.controlplane import schema, shapes
from lab_utils.controlplane.fieldsets import (
    Child,
    Tree,
    common,
    compare,
    fields_in,
    minus,
    paths,
    union,
)
from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.merging import duplicates, let_go, merge
from lab_utils.controlplane.status import ApiError, Object

Owner = tuple[str, str, str]
"""Manager, operation (Apply or Update) and subresource: who has one entry of managedFields."""
# Facts of the object, not wishes of a manager.
_FACTS = (
    ".", "f:name", "f:namespace", "f:uid", "f:creationTimestamp", "f:generation",
    "f:managedFields", "f:resourceVersion", "f:selfLink",
)  # fmt: skip


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
    wanted = _without_facts(named)
    merged = merge(_root(kind, copy.deepcopy(before)), _root(kind, wish))
    if me in entries:
        others = [entry["fieldsV1"] for owner, entry in entries.items() if owner != me]
        kept = union(named, *others)
        merged = let_go(_root(kind, merged), entries[me]["fieldsV1"], kept)
    changed, removed = (
        _without_facts(tree) for tree in compare(_root(kind, before), _root(kind, merged))
    )
    if not force:
        _refuse_conflicts(entries, me, changed)
    mine = entries.pop(me, None)
    _take_away(entries, union(changed, removed))
    if wanted:
        same = mine is not None and mine["fieldsV1"] == wanted and not changed and not removed
        entries[me] = mine if mine and same else _entry(kind, me, wanted, now)
    return _with_entries(merged, entries)


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
    changed = _without_facts(_written_through(kind, changed, subresource))
    _take_away(entries, union(changed, removed))
    if changed:
        owned = union(entries[me]["fieldsV1"], changed) if me in entries else changed
        entries[me] = _entry(kind, me, owned, now)
    return _with_entries(new, entries)


def _root(kind: str, obj: Object) -> Child:
    return Child(shapes.type_of(kind).name, ("", ""), obj)


def _written_through(kind: str, tree: Tree, subresource: str) -> Tree:
    """Leave out what a write through this endpoint cannot touch."""
    if not BY_NAME[kind].has_status:
        return tree
    untouched = "f:spec" if subresource == "status" else "f:status"
    return {token: inner for token, inner in tree.items() if token != untouched}


def _writable(kind: str, obj: Object, subresource: str) -> Object:
    kept = _written_through(kind, {f"f:{key}": value for key, value in obj.items()}, subresource)
    return {token[2:]: value for token, value in kept.items()}


def _without_facts(tree: Tree) -> Tree:
    """Leave out what nobody owns: names, versions, times."""
    metadata = {k: v for k, v in tree.get("f:metadata", {}).items() if k not in _FACTS}
    rest = {k: v for k, v in tree.items() if k not in ("f:apiVersion", "f:kind", "f:metadata")}
    return {"f:metadata": metadata, **rest} if metadata else rest


def _entries(obj: Object) -> dict[Owner, Object]:
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): dict(entry)
        for entry in obj.get("metadata", {}).get("managedFields", [])
    }


def _entry(kind: str, owner: Owner, fields: Tree, now: str) -> Object:
    manager, operation, subresource = owner
    entry = {
        "manager": manager, "operation": operation, "apiVersion": BY_NAME[kind].api_version,
        "time": now, "fieldsType": "FieldsV1", "fieldsV1": fields,
    }  # fmt: skip
    return entry | ({"subresource": subresource} if subresource else {})


def _with_entries(obj: Object, entries: dict[Owner, Object]) -> Object:
    def order(entry: Object) -> tuple[str, str, str]:
        return entry["operation"], entry.get("time", ""), entry["manager"]

    metadata = {k: v for k, v in obj.get("metadata", {}).items() if k != "managedFields"}
    listed = sorted(entries.values(), key=order)
    return obj | {"metadata": metadata | ({"managedFields": listed} if listed else {})}


def _take_away(entries: dict[Owner, Object], fields: Tree) -> None:
    """Take fields from everyone who has them; who has nothing left is forgotten."""
    for owner, entry in list(entries.items()):
        entry["fieldsV1"] = minus(entry["fieldsV1"], fields)
        if not entry["fieldsV1"]:
            del entries[owner]


def _refuse_conflicts(entries: dict[Owner, Object], me: Owner, changed: Tree) -> None:
    conflicts = [
        (_describe(owner, entry), path)
        for owner, entry in entries.items()
        if owner != me
        for path in paths(common(entry["fieldsV1"], changed))
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


def _describe(owner: Owner, entry: Object) -> str:
    manager, operation, subresource = owner
    through = f' with subresource "{subresource}"' if subresource else ""
    version = f" using {entry['apiVersion']}" if operation == "Update" else ""
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
    problems = [
        f".{text.split(chr(34))[1]}: field not declared in schema"
        for text in schema.check(kind, applied)
    ]
    known = schema.drop_unknown(kind, applied)
    problems += duplicates(_root(kind, known), "")
    if not problems:
        return known
    row, metadata = BY_NAME[kind], known.get("metadata", {})
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    text = problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])
    what = f"{name}; {row.group}/{row.version}, Kind={kind}"
    message = f"failed to create typed patch object ({what}): {text}"
    raise ApiError(500, "InternalError", message)
