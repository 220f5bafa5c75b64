"""Query parameters and DeleteOptions, read and judged as Kubernetes does.

Hides the names of parameters and the words for wrong ones; what comes out is typed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from lab_utils.controlplane import views
from lab_utils.controlplane.deletion import DeleteOptions
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.parsing import APPLY_PATCH
from lab_utils.controlplane.selectors import (
    FieldSelector,
    parse_field_selector,
    parse_label_selector,
)
from lab_utils.controlplane.status import ApiError, Cause, Object, bad_request, invalid

_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_PROPAGATIONS = ("Foreground", "Background", "Orphan")
_MATCHES = ("Exact", "NotOlderThan", "")
_MAX_MANAGER_BYTES, _INT64 = 128, 2**63
Query = MultiMapping[str]
"""The parameters of a request; a name may come more than once."""


def _refuse(options: str, reason: str, field: str, message: str) -> ApiError:
    return invalid("meta.k8s.io", options, "", [Cause(f"FieldValue{reason}", message, field)])


def _unsupported(options: str, field: str, value: Any, supported: Sequence[str]) -> ApiError:
    known = ", ".join(json.dumps(one) for one in supported)
    message = f"Unsupported value: {json.dumps(value)}: supported values: {known}"
    return _refuse(options, "NotSupported", field, message)


def is_true(query: Query, name: str) -> bool:
    """Read a boolean parameter: anything but nothing, 0 and false is true."""
    return query.get(name, "") not in ("", "0", "false")


def _integer(text: str) -> int:
    """Read an int64."""
    try:
        number, why = int(text or 0), "value out of range"
    except ValueError:
        number, why = _INT64, "invalid syntax"
    if abs(number) < _INT64:
        return number
    raise bad_request(f'strconv.ParseInt: parsing "{text}": {why}')


def _dry_run(options: str, values: Sequence[str]) -> bool:
    if any(value != "All" for value in values):
        raise _unsupported(options, "dryRun", list(values), ["All"])
    return bool(values)


@dataclass(frozen=True)
class WriteOptions:
    """How a create, update or patch is to be done."""

    manager: str
    dry_run: bool
    validation: str
    force: bool


def write_options(query: Query, options: str, agent: str, content_type: str) -> WriteOptions:
    """Read the parameters of a CreateOptions, UpdateOptions or PatchOptions (422).

    The User-Agent names the manager where no parameter does.
    """
    validation = query.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        raise _unsupported(options, "fieldValidation", validation, _VALIDATIONS)
    manager, force = query.get("fieldManager", ""), is_true(query, "force")
    _check_manager(options, manager)
    if content_type == APPLY_PATCH and not manager:
        message = "Required value: is required for apply patch"
        raise _refuse(options, "Required", "fieldManager", message)
    if force and options == "PatchOptions" and content_type != APPLY_PATCH:
        message = "Forbidden: may not be specified for non-apply patch"
        raise _refuse(options, "Forbidden", "force", message)
    return WriteOptions(
        manager=manager or agent.split("/", 1)[0][:_MAX_MANAGER_BYTES],
        dry_run=_dry_run(options, query.getall("dryRun", ())),
        validation=validation or "Warn",
        force=force,
    )


def _check_manager(options: str, manager: str) -> None:
    if len(manager.encode()) > _MAX_MANAGER_BYTES:
        message = f"Too long: may not be more than {_MAX_MANAGER_BYTES} bytes"
        raise _refuse(options, "TooLong", "fieldManager", message)
    for i, character in enumerate(manager):
        if not character.isprintable():
            shown = manager.encode("unicode_escape").decode()
            code = f"U+{ord(character):04X}"
            message = f'Invalid value: "{shown}": invalid character {code} (at position {i})'
            raise _refuse(options, "Invalid", "fieldManager", message)


def delete_options(query: Query, body: Object) -> DeleteOptions:
    """Read a deletion's parameters; the body goes before the query (400 or 422)."""
    grace: Any = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds", ""))
    dry_run: Any = body.get("dryRun") or query.getall("dryRun", [])
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        dry_run=_dry_run("DeleteOptions", dry_run),
        grace_s=_integer(str(grace)) if grace not in ("", None) else None,
        propagation=_propagation(query, body),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


def _propagation(query: Query, body: Object) -> str | None:
    """Read the propagation policy, or the boolean that said it in older clients."""
    field, orphan = "propagationPolicy", body.get("orphanDependents")
    policy = body.get(field) or query.get(field, "") or None
    if policy not in (None, *_PROPAGATIONS):
        raise _unsupported("DeleteOptions", field, policy, (*_PROPAGATIONS, "nil"))
    if orphan is None:
        return policy
    if policy is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        raise _refuse("DeleteOptions", "Invalid", field, f'Invalid value: "{policy}": {why}')
    return "Orphan" if orphan else "Background"


@dataclass(frozen=True)
class ListOptions:
    """What a list or a watch is to show, and from when."""

    selects: FieldSelector
    is_selective: bool
    limit: int
    token: str
    revision: str
    match: str
    is_watch: bool
    timeout_s: int
    bookmarks: bool
    send_initial: bool


def list_options(query: Query, kind: Kind, *, is_watch: bool = False) -> ListOptions:
    """Read the parameters of a list or a watch (400 or 422)."""
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    options = ListOptions(
        selects=_selection(kind, labels, fields),
        is_selective=bool(labels or fields),
        limit=max(_integer(query.get("limit", "")), 0),
        token=query.get("continue", ""),
        revision=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        is_watch=is_watch or is_true(query, "watch"),
        timeout_s=_integer(query.get("timeoutSeconds", "")),
        bookmarks=is_true(query, "allowWatchBookmarks"),
        send_initial=is_true(query, "sendInitialEvents"),
    )
    _check_list(options)
    return options


def _selection(kind: Kind, labels: str, fields: str) -> FieldSelector:
    by_label, by_field = parse_label_selector(labels), parse_field_selector(kind, fields)

    def selects(obj: Object) -> bool:
        labels = obj["metadata"].get("labels")
        return by_label.matches(labels) and (not fields or by_field(views.shown(kind, obj)))

    return selects


def _check_list(options: ListOptions) -> None:
    field, why = "resourceVersionMatch", ""
    if options.send_initial and not options.is_watch:
        field, why = "sendInitialEvents", "sendInitialEvents is forbidden for list"
    elif options.send_initial and options.match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    elif options.match and not options.revision and not options.send_initial:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif options.token and (options.is_watch or options.match):
        why = "resourceVersionMatch is forbidden when continue is provided"
    if why:
        raise _refuse("ListOptions", "Forbidden", field, f"Forbidden: {why}")
    if options.match not in _MATCHES:
        raise _unsupported("ListOptions", field, options.match, _MATCHES)


def parse_revision(text: str) -> int:
    """Read a resourceVersion; "" is 0.

    Raises:
        ValueError: It is no number; the text is Go's.
    """
    if text and not text.isdigit():
        parsing = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ValueError(f'resourceVersion: Invalid value: "{text}": {parsing}')
    return int(text or 0)
