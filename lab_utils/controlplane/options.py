"""Query parameters and DeleteOptions, read and judged as Kubernetes does.

Hides the names of parameters and the words for wrong ones; what comes out is typed.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.parsing import APPLY_PATCH, read_json
from lab_utils.controlplane.selectors import (
    FieldSelector,
    parse_field_selector,
    parse_label_selector,
)
from lab_utils.controlplane.status import ApiError, Cause, Object, bad_request, invalid

_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_PROPAGATIONS = ("Foreground", "Background", "Orphan")
_MAX_MANAGER_BYTES = 128
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


Query = MultiMapping[str]
"""The parameters of a request; a name may come more than once."""


def refuse(options: str, reason: str, field: str, message: str) -> ApiError:
    """Refuse a parameter (422); options is CreateOptions, ListOptions, ..."""
    return invalid("meta.k8s.io", options, "", [Cause(reason, message, field)])


def _unsupported(options: str, field: str, value: str, supported: Sequence[str]) -> ApiError:
    known = ", ".join(json.dumps(one) for one in supported)
    message = f"Unsupported value: {value}: supported values: {known}"
    return refuse(options, "FieldValueNotSupported", field, message)


def is_true(text: str) -> bool:
    """Read a boolean parameter: anything but nothing, 0 and false is true."""
    return text not in ("", "0", "false")


def _integer(text: str) -> int:
    try:
        return int(text or 0)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _dry_run(options: str, values: Sequence[str]) -> bool:
    if any(value != "All" for value in values):
        raise _unsupported(options, "dryRun", json.dumps(list(values)), ["All"])
    return bool(values)


@dataclass(frozen=True)
class WriteOptions:
    """How a create, update or patch is to be done."""

    manager: str
    dry_run: bool
    validation: str
    force: bool


def write_options(
    query: Query, options: str, user_agent: str, content_type: str = ""
) -> WriteOptions:
    """Read the parameters of a write.

    Args:
        query: The request's parameters.
        options: CreateOptions, UpdateOptions or PatchOptions.
        user_agent: Names the manager where no parameter does.
        content_type: Of a patch: an apply patch has rules of its own.

    Raises:
        ApiError: 422.
    """
    validation = query.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        raise _unsupported(options, "fieldValidation", json.dumps(validation), _VALIDATIONS)
    manager, is_apply = query.get("fieldManager", ""), content_type == APPLY_PATCH
    _check_manager(options, manager, is_apply)
    force = is_true(query.get("force", ""))
    if force and options == "PatchOptions" and not is_apply:
        message = "Forbidden: may not be specified for non-apply patch"
        raise refuse(options, "FieldValueForbidden", "force", message)
    return WriteOptions(
        manager=manager or user_agent.split("/", 1)[0][:_MAX_MANAGER_BYTES],
        dry_run=_dry_run(options, query.getall("dryRun", ())),
        validation=validation or "Warn",
        force=force,
    )


def _check_manager(options: str, manager: str, is_apply: bool) -> None:
    if is_apply and not manager:
        message = "Required value: is required for apply patch"
        raise refuse(options, "FieldValueRequired", "fieldManager", message)
    if len(manager.encode()) > _MAX_MANAGER_BYTES:
        message = f"Too long: may not be more than {_MAX_MANAGER_BYTES} bytes"
        raise refuse(options, "FieldValueTooLong", "fieldManager", message)
    for i, character in enumerate(manager):
        if not character.isprintable():
            shown = manager.encode("unicode_escape").decode()
            code = f"U+{ord(character):04X}"
            message = f'Invalid value: "{shown}": invalid character {code} (at position {i})'
            raise refuse(options, "FieldValueInvalid", "fieldManager", message)


@dataclass(frozen=True)
class DeleteOptions:
    """How a deletion is to be done; None leaves it to the kind."""

    dry_run: bool
    grace_s: int | None
    propagation: str | None
    uid: str | None
    resource_version: str | None


def delete_options(query: Query, body: Object) -> DeleteOptions:
    """Read a deletion's parameters; the body goes before the query.

    Raises:
        ApiError: 400 or 422.
    """
    orphan = body.get("orphanDependents")
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "") or None
    if orphan is not None and propagation is not None:
        message = (
            f'Invalid value: "{propagation}": orphanDependents and deletionPropagation cannot be '
            "both set"
        )
        raise refuse("DeleteOptions", "FieldValueInvalid", "propagationPolicy", message)
    if propagation not in (None, *_PROPAGATIONS):
        shown, known = json.dumps(propagation), (*_PROPAGATIONS, "nil")
        raise _unsupported("DeleteOptions", "propagationPolicy", shown, known)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    grace: Any = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds", ""))
    dry_run: Any = body.get("dryRun") or query.getall("dryRun", [])
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        dry_run=_dry_run("DeleteOptions", dry_run),
        grace_s=_integer(str(grace)) if grace not in ("", None) else None,
        propagation=propagation,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )


@dataclass(frozen=True)
class Position:
    """Where a list in chunks goes on: after a (namespace, name), at a revision or (-1) now."""

    revision: int
    start: tuple[str, str]

    def as_token(self) -> str:
        """Write what a client sends back as `continue`."""
        key = "/".join(part for part in self.start if part) + "\0"
        token = {"v": "meta.k8s.io/v1", "rv": self.revision, "start": key}
        text = json.dumps(token, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "Position":
        """Read a token.

        Raises:
            ApiError: 400, it is none of ours.
        """
        try:
            padded = token + "=" * (-len(token) % 4)
            read = read_json(base64.urlsafe_b64decode(padded))
            namespace, _, name = read["start"].rstrip("\0").rpartition("/")
            return cls(int(read["rv"]), (namespace, name))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            why = f"invalid continue token: continue key is not valid: {exc}"
            raise bad_request(why) from exc


class ContinueExpired(ApiError):
    """The list's revision is forgotten (410); the answer offers to go on inconsistently."""

    def __init__(self, position: Position) -> None:
        super().__init__(410, "Expired", _EXPIRED)
        self._now = Position(-1, position.start)

    def as_status(self) -> Object:
        """Give the Status with the token to go on with."""
        return super().as_status() | {"metadata": {"continue": self._now.as_token()}}


@dataclass(frozen=True)
class ListOptions:
    """What a list or a watch is to show, and from when."""

    selects: FieldSelector
    is_selective: bool
    limit: int
    position: Position | None
    revision: str
    match: str
    is_watch: bool
    timeout_s: int
    bookmarks: bool
    send_initial: bool


def list_options(query: Query, kind: Kind, *, is_watch: bool = False) -> ListOptions:
    """Read the parameters of a list or a watch.

    Raises:
        ApiError: 400 or 422.
    """
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    token = query.get("continue", "")
    is_watch = is_watch or is_true(query.get("watch", ""))
    options = ListOptions(
        selects=_selection(kind, labels, fields),
        is_selective=bool(labels or fields),
        limit=max(_integer(query.get("limit", "")), 0),
        position=Position.parse(token) if token and not is_watch else None,
        revision=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        is_watch=is_watch,
        timeout_s=_integer(query.get("timeoutSeconds", "")),
        bookmarks=is_true(query.get("allowWatchBookmarks", "")),
        send_initial=is_true(query.get("sendInitialEvents", "")),
    )
    _check_list(options, token)
    return options


def _selection(kind: Kind, labels: str, fields: str) -> FieldSelector:
    by_label, by_field = parse_label_selector(labels), parse_field_selector(kind, fields)
    return lambda obj: by_label.matches(obj["metadata"].get("labels")) and by_field(obj)


def _check_list(options: ListOptions, token: str) -> None:
    field, why = "resourceVersionMatch", ""
    if options.send_initial and not options.is_watch:
        field, why = "sendInitialEvents", "sendInitialEvents is forbidden for list"
    elif options.send_initial and options.match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    elif options.match and not options.revision and not options.send_initial:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif token and (options.is_watch or options.match):
        why = "resourceVersionMatch is forbidden when continue is provided"
    if why:
        raise refuse("ListOptions", "FieldValueForbidden", field, f"Forbidden: {why}")
    if options.match not in ("", "Exact", "NotOlderThan"):
        known = ("Exact", "NotOlderThan", "")
        raise _unsupported("ListOptions", field, json.dumps(options.match), known)


def parse_revision(text: str, prefix: str = "") -> int:
    """Read a resourceVersion; "" is 0.

    Raises:
        ValueError: It is no number; the text is Go's.
    """
    if text and not text.isdigit():
        parsing = f'strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ValueError(f'{prefix}resourceVersion: Invalid value: "{text}": {parsing}')
    return int(text or 0)
