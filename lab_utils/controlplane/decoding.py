"""What a client sent, read as the object its path stands for, with Kubernetes' words for the rest.

Hides the checks of content types, kinds, versions and names; how bytes become values is `parsing`.
"""

from typing import Any

from lab_utils.controlplane import schema
from lab_utils.controlplane.kinds import BY_NAME, Kind
from lab_utils.controlplane.parsing import (
    APPLY_PATCH,
    CONTENT_TYPES,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    YAML,
    Unreadable,
    bound,
    duplicate_fields,
    read,
)
from lab_utils.controlplane.protobuf import PROTOBUF, Malformed, read_object
from lab_utils.controlplane.schema import cannot_be_handled
from lab_utils.controlplane.status import ApiError, Object, bad_request
from lab_utils.controlplane.warn import warn

MAX_BODY_BYTES = 3 * 2**20
_SUMMARY_BYTES = 30
_NO_JSON = "couldn't get version/kind; json parse error"
_SCHEME = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'
_GO_TYPE = (
    r'struct { APIVersion string "json:\"apiVersion,omitempty\"";'
    r' Kind string "json:\"kind,omitempty\"" }'
)


def decode(shape: str, api_version: str, body: bytes, content_type: str) -> Object:
    """Read a body that must be an object of the kind its path stands for.

    Args:
        shape: The kind, by a name that `shapes.type_of` knows.
        api_version: Its version.
        body: What came.
        content_type: Of which media type it is; "" for JSON.

    Raises:
        ApiError: 400 or 415.
    """
    kind = shape.rpartition(" ")[2]
    try:
        value = _read(shape, body, content_type)
        if not isinstance(value, dict | None):
            seen = "array" if isinstance(value, list) else "string"
            raise Unreadable(f"json: cannot unmarshal {seen} into Go value of type {_GO_TYPE}")
    except Unreadable as exc:
        why = f"{_NO_JSON}: {exc}" if content_type in ("", JSON) else f"{exc}"
        what = f"the object provided is unrecognized (must be of type {kind})"
        raise bad_request(f"{what}: {why} ({_summary(body)})") from exc
    obj: Object = value or {}
    require_kind(kind, api_version, obj)
    return obj


def _read(shape: str, body: bytes, content_type: str) -> Any:
    """Parse a body of any of the three media types (415, of another one)."""
    if content_type == PROTOBUF:
        try:
            value = read_object(body, shape)
        except Malformed as exc:
            raise Unreadable(str(exc)) from exc
        bound(value)
        return value
    if content_type not in ("", JSON, YAML):
        raise unsupported_body()
    return read(body, content_type)


def _summary(body: bytes) -> str:
    head, more = body[:_SUMMARY_BYTES], " ..." if len(body) > _SUMMARY_BYTES else ""
    if not body:
        return "<empty>"
    return (head.decode(errors="replace") if body[:1] == b"{" else head.hex()) + more


def unsupported_body() -> ApiError:
    """Refuse a body that is neither JSON, YAML nor protobuf (415)."""
    return ApiError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml, application/vnd.kubernetes.protobuf",
    )


def require_kind(kind: str, api_version: str, obj: Object) -> None:
    """Refuse a body that says it is something else; one that says nothing is taken as it is.

    Raises:
        ApiError: 400.
    """
    given, version = obj.get("kind") or kind, obj.get("apiVersion") or api_version
    if (given, version) == (kind, api_version):
        return
    group, _, number = str(version).rpartition("/")
    wanted_group = api_version.rpartition("/")[0]
    if given == kind and group == wanted_group != "":
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({api_version})"
        )
    known = BY_NAME.get(str(given))
    if known is None or known.api_version != version:
        why = f'no kind "{given}" is registered for version "{version}" {_SCHEME}'
    else:
        internal = f"{wanted_group or 'core'}.{kind}"
        why = f"converting ({number}.{given}) to ({internal}): unknown conversion"
    raise bad_request(f'{given} in version "{number}" cannot be handled as a {kind}: {why}')


def require_name(obj: Object, name: str) -> None:
    """Refuse a body that names another object than its path (400)."""
    given = (obj.get("metadata") or {}).get("name", "")
    if given != name:
        raise bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )


def decode_delete_options(body: bytes, content_type: str) -> Object:
    """Read the body of a DELETE.

    Raises:
        ApiError: 400 or 415.
    """
    try:
        value = _read("DeleteOptions", body, content_type)
    except Unreadable as exc:
        raise bad_request(f"{_NO_JSON}: {exc}") from exc
    options: Object = value if isinstance(value, dict) else {}
    given = options.get("kind") or "DeleteOptions"
    if given != "DeleteOptions":
        where = 'in scheme "pkg/apis/meta/internalversion/scheme/register.go:27"'
        version = options.get("apiVersion", "")
        raise bad_request(f'no kind "{given}" is registered for version "{version}" {where}')
    return options


def decode_strictly(row: Kind, body: bytes, content_type: str, validation: str) -> Object:
    """Read a served kind: unknown and duplicate fields are refused, warned of or dropped.

    Validation is "Strict", "Warn" or "Ignore".

    Raises:
        ApiError: 400 or 415.
    """
    obj = decode(row.shape, row.api_version, body, content_type)
    known, unknown = schema.decode(row.shape, obj)
    problems = [*duplicate_fields(obj), *unknown]
    if problems and validation == "Strict":
        raise cannot_be_handled(row.shape, f"strict decoding error: {', '.join(problems)}")
    if validation == "Warn":
        for problem in problems:
            warn(problem)
    return known


def require_patch_type(content_type: str) -> None:
    """Refuse what is no patch format (415)."""
    if content_type not in CONTENT_TYPES:
        message = "415: Unsupported Media Type"
        raise ApiError(415, "UnsupportedMediaType", message, details={})


def decode_patch(row: Kind, body: bytes, content_type: str) -> Any:
    """Parse a patch; each format words its errors in its own way.

    Raises:
        ApiError: 400.
    """
    try:
        patch = read(body, content_type)
    except Unreadable as exc:
        raise bad_request(f"{_PATCH_ERRORS.get(content_type, '')}{exc}") from exc
    if content_type == APPLY_PATCH and isinstance(patch, dict) and patch.get("kind"):
        require_kind(row.name, row.api_version, patch)
    return patch


_PATCH_ERRORS = {
    JSON_PATCH: "error decoding patch: ",
    MERGE_PATCH: "error decoding patch: ",
    APPLY_PATCH: "error decoding YAML: error converting YAML to JSON: ",
}
