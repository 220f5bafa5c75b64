"""OpenAPI of what is served: what `kubectl explain`, `apply` and `diff` need of it.

Derived from `kinds` and `shapes`. Schemas carry the merge rules; paths carry just enough for a
client to find the schema of a kind and to see that the server checks fields.
Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache

from lab_utils.controlplane import shapes
from lab_utils.controlplane.discovery import VERSION, group_versions, root
from lab_utils.controlplane.encoding import to_json
from lab_utils.controlplane.kinds import KINDS, Kind
from lab_utils.controlplane.parsing import CONTENT_TYPES, JSON, YAML
from lab_utils.controlplane.shapes import Field, Type
from lab_utils.controlplane.status import Object

_SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "int-or-string": {"type": "string", "format": "int-or-string"},
    "quantity": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "any": {"type": "object"},
}
_INFO = {"title": "Kubernetes", "version": VERSION}
_V2, _V3 = "#/definitions/", "#/components/schemas/"


def _name(struct: Type) -> str:
    """Name a type; the group stands where the client needs it to tell two types apart."""
    group = re.match(r"([A-Za-z]*?)V\d", struct.name)
    parts = ("io.k8s.api", group[1].lower() if group else "", struct.go_version, struct.go_name)
    return ".".join(filter(None, parts))


def _schema(type_name: str, refs: str) -> Object:
    if type_name.startswith("[]"):
        return {"type": "array", "items": _schema(type_name[2:], refs)}
    if type_name.startswith("{}"):
        return {"type": "object", "additionalProperties": _schema(type_name[2:], refs)}
    struct = shapes.get_type(type_name)
    if struct is None:
        return dict(_SCALARS[type_name])
    return {"$ref": refs + _name(struct)}


def _property(struct: Type, name: str, field: Field, refs: str) -> Object:
    schema = _schema(field.type, refs)
    if "$ref" in schema and refs == _V3:
        schema = {"allOf": [schema], "default": {}}
    schema |= {"description": field.description} if field.description else {}
    merge = shapes.merge_of(struct.name, name)
    strategy = ["retainKeys"] if merge.retain_keys else []
    if merge.patch_key is not None:
        schema |= {"x-kubernetes-patch-merge-key": merge.patch_key} if merge.patch_key else {}
        strategy = ["merge", *strategy]
    schema |= {"x-kubernetes-patch-strategy": ",".join(strategy)} if strategy else {}
    if merge.apply_keys is not None:
        is_map = bool(merge.apply_keys)
        schema["x-kubernetes-list-type"] = "map" if is_map else "set"
        schema |= {"x-kubernetes-list-map-keys": list(merge.apply_keys)} if is_map else {}
    return schema


def _definition(struct: Type, refs: str, kinds: Iterable[Kind]) -> Object:
    required = [name for name, field in struct.fields.items() if field.required]
    definition: Object = {
        "type": "object",
        "description": struct.description,
        "properties": {
            name: _property(struct, name, field, refs) for name, field in struct.fields.items()
        },
    }
    definition |= {"required": required} if required else {}
    gvks = [_gvk(row) for row in kinds if shapes.type_of(row.shape) is struct]
    return definition | ({"x-kubernetes-group-version-kind": gvks} if gvks else {})


def _gvk(row: Kind) -> Object:
    return {"group": row.group, "version": row.version, "kind": row.name}


def _reachable(rows: Iterable[Kind]) -> Iterator[Type]:
    waiting, seen = [shapes.type_of(row.shape) for row in rows], set[str]()
    while waiting:
        struct = waiting.pop()
        if struct.name in seen:
            continue
        seen.add(struct.name)
        yield struct
        inner = (f.type.replace("[]", "").replace("{}", "") for f in struct.fields.values())
        waiting += [found for found in map(shapes.get_type, inner) if found]


def _definitions(rows: Iterable[Kind], refs: str) -> Object:
    rows = list(rows)
    found = sorted(_reachable(rows), key=_name)
    return {_name(struct): _definition(struct, refs, rows) for struct in found}


def _path(row: Kind) -> str:
    inside = "/namespaces/{namespace}" if row.namespaced else ""
    return f"{root(row.group, row.version)}{inside}/{row.plural}"


def _operations(row: Kind, refs: str) -> Object:
    """Describe the verbs whose bodies or parameters a client looks up."""
    ref = {"$ref": refs + _name(shapes.type_of(row.shape))}
    ok: Object = {"description": "OK"}
    ok |= {"schema": ref} if refs == _V2 else {"content": {"application/json": {"schema": ref}}}
    text = {"type": "string", "uniqueItems": True}
    parameters = [
        {"name": name, "in": "query"} | (text if refs == _V2 else {"schema": text})
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]

    def operation(verb: str) -> Object:
        gvk = {"x-kubernetes-action": verb, "x-kubernetes-group-version-kind": _gvk(row)}
        return {"responses": {"200": ok}, "parameters": parameters} | _body(verb, ref, refs) | gvk

    found: Object = {}
    for verb, (end, method, action) in _OPERATIONS.items():
        if verb in row.verbs:
            found.setdefault(_path(row) + end, {})[method] = operation(action)
    return found


_OPERATIONS = {
    "list": ("", "get", "list"), "create": ("", "post", "post"),
    "get": ("/{name}", "get", "get"), "update": ("/{name}", "put", "put"),
    "patch": ("/{name}", "patch", "patch"), "delete": ("/{name}", "delete", "delete"),
}  # fmt: skip


def _body(verb: str, ref: Object, refs: str) -> Object:
    """Describe what may be sent: kubectl looks up whether a strategic merge patch may."""
    media = {"patch": CONTENT_TYPES, "post": (JSON, YAML), "put": (JSON, YAML)}.get(verb, ())
    if refs == _V2:
        return {"consumes": list(media)} if media else {}
    return {"requestBody": {"content": {one: {"schema": ref} for one in media}}} if media else {}


def _paths(rows: Iterable[Kind], refs: str) -> Object:
    return {path: verbs for row in rows for path, verbs in _operations(row, refs).items()}


@cache
def document_v2() -> bytes:
    """Give the document at /openapi/v2."""
    head = {"swagger": "2.0", "info": _INFO, "paths": _paths(KINDS, _V2)}
    return to_json(head | {"definitions": _definitions(KINDS, _V2)})


@cache
def index_v3() -> Object:
    """Give the document at /openapi/v3: where the document of each group version is."""
    digest = hashlib.sha256(document_v2()).hexdigest()[:32].upper()
    paths = (root(*key) for key in group_versions())
    urls = {path[1:]: {"serverRelativeURL": f"/openapi/v3{path}?hash={digest}"} for path in paths}
    return {"paths": urls}


@cache
def document_v3(path: str) -> bytes | None:
    """Give the document of one group version (`/apis/apps/v1`); None when it is not served."""
    rows = next((rows for key, rows in group_versions().items() if root(*key) == path), None)
    if rows is None:
        return None
    head = {"openapi": "3.0.0", "info": _INFO, "paths": _paths(rows, _V3)}
    return to_json(head | {"components": {"schemas": _definitions(rows, _V3)}})
