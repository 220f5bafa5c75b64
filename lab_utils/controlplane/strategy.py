"""What a client may write of an object, and what only the server writes.

Pure rules on metadata, on the split of spec and status, and on generations; the words are those of
Kubernetes' registry strategies. Never looks at another object.
"""

import uuid
from datetime import datetime
from typing import Any

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.status import ApiError, Cause, Object, conflict, invalid
from lab_utils.controlplane.timestamps import rfc3339

_SERVER_OWNED = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
_KEPT = (
    "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation",
    "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip
_NOT_WANTED_STATE = {"kind", "apiVersion", "metadata", "status"}


def prepare_create(row: Kind, obj: Object, now: datetime, *, dry_run: bool = False) -> Object:
    """Give a new object with the metadata that the server decides; parts of the old are shared.

    Raises:
        ApiError: 500, it brings a resourceVersion along.
    """
    new = _in_order(row, obj)
    metadata = new["metadata"]
    if metadata.get("resourceVersion") and not dry_run:
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    for field in _SERVER_OWNED:
        metadata.pop(field, None)
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": rfc3339(now)}
    if row.counts_generations:
        metadata["generation"] = 1
    if row.has_status and not row.status_on_create:
        new.pop("status", None)
    return new


def _in_order(row: Kind, obj: Object) -> Object:
    """Give a copy of the outermost two levels: what these rules write to."""
    head = {"kind": row.name, "apiVersion": row.api_version, "metadata": {}}
    return head | obj | head | {"metadata": dict(obj.get("metadata") or {})}


def check_preconditions(row: Kind, live: Object, obj: Object) -> None:
    """Refuse to overwrite another object, or a version the client has not seen (409 or 422)."""
    wanted, found = obj["metadata"], live["metadata"]
    if row.needs_version and wanted.get("resourceVersion", "0") in ("", "0"):
        why = "Invalid value: 0: must be specified for an update"
        cause = Cause("FieldValueInvalid", why, "metadata.resourceVersion")
        raise invalid(row.group, row.plural, found["name"], [cause])
    if wanted.get("uid") and wanted["uid"] != found["uid"]:
        raise conflict(row.group, row.plural, found["name"], _other_uid(row, wanted, found))
    check_revision(row, live, obj)


def check_revision(row: Kind, live: Object, obj: Object) -> None:
    """Refuse a write that is based on an older version (409); without a version anything goes."""
    wanted, found = obj["metadata"].get("resourceVersion"), live["metadata"]
    if not wanted or wanted == "0":
        return
    if not wanted.isdigit():
        raise ApiError(500, "", f'strconv.ParseUint: parsing "{wanted}": invalid syntax')
    if wanted != found["resourceVersion"]:
        raise conflict(row.group, row.plural, found["name"])


def _other_uid(row: Kind, wanted: Object, found: Object) -> str:
    place = "/".join(filter(None, (row.plural, found.get("namespace"), found["name"])))
    return (
        f"StorageError: invalid object, Code: 4, Key: /{place}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted['uid']}, "
        f"UID in object meta: {found['uid']}"
    )


def prepare_update(row: Kind, obj: Object, live: Object, subresource: str) -> Object:
    """Give what is written with everything that this route may not change put back.

    Parts of both objects are shared with the result.

    Raises:
        ApiError: 422, the uid is another one.
    """
    new = _in_order(row, obj)
    if subresource == "status":
        new = _only(new, live, "status")
    elif subresource == "finalize":
        new = _only(new, live, "spec")
    elif row.has_status:
        new = {key: value for key, value in new.items() if key != "status"}
        new |= {"status": live["status"]} if "status" in live else {}
    _keep_metadata(row, new["metadata"], live["metadata"])
    return new


def _only(new: Object, live: Object, part: str) -> Object:
    """Take one part of what was sent; of the metadata only who manages what."""
    managed = {"managedFields": new["metadata"].get("managedFields", [])}
    kept = live | {"metadata": live["metadata"] | managed}
    return kept | ({part: new[part]} if part in new else {})


def _keep_metadata(row: Kind, metadata: Object, live: Object) -> None:
    uid = metadata.get("uid")
    if uid and uid != live["uid"]:
        why = f'Invalid value: "{uid}": field is immutable'
        cause = Cause("FieldValueInvalid", why, "metadata.uid")
        raise invalid(row.group, row.name, live["name"], [cause])
    for field in (*_KEPT, "selfLink"):
        metadata.pop(field, None)
    metadata |= {field: live[field] for field in _KEPT if field in live}


def count_generation(row: Kind, new: Object, live: Object) -> None:
    """Raise the generation when what is wanted has changed."""
    if row.counts_generations and wanted_state(new) != wanted_state(live):
        new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1


def wanted_state(obj: Object) -> Object:
    """Give all of an object but its metadata and status."""
    return {key: value for key, value in obj.items() if key not in _NOT_WANTED_STATE}


def is_same(new: Object, live: Object) -> bool:
    """Tell whether a write changes nothing: then it makes no new version."""
    return _comparable(new) == _comparable(live)


def _comparable(obj: Object) -> dict[str, Any]:
    metadata = obj["metadata"]
    managed = [entry | {"time": ""} for entry in metadata.get("managedFields") or ()]
    return obj | {"metadata": metadata | {"managedFields": managed}}
