"""How Kubernetes words that a field is wrong: one small function per reason.

Knows nothing of any field.

Source:
    k8s.io/apimachinery/pkg/util/validation/field (errors.go)
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from lab_utils.controlplane.status import Cause

NON_NEGATIVE = "must be greater than or equal to 0"


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid(field: str, value: Any, why: str) -> Cause:
    """Say that a value cannot be."""
    return Cause("FieldValueInvalid", f"Invalid value: {_show(value)}: {why}", field)


def each_invalid(field: str, value: Any, reasons: Iterable[str]) -> Iterator[Cause]:
    """Say why a value cannot be, once per reason."""
    for why in reasons:
        yield invalid(field, value, why)


def required(field: str, why: str = "") -> Cause:
    """Say that a value is missing."""
    return Cause("FieldValueRequired", f"Required value: {why}" if why else "Required value", field)


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    """Say that a value is none of those there are."""
    choices = ", ".join(_show(choice) for choice in supported)
    text = f"Unsupported value: {_show(value)}: supported values: {choices}"
    return Cause("FieldValueNotSupported", text, field)


def forbidden(field: str, why: str) -> Cause:
    """Say that a field may not be set here."""
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def duplicate(field: str, value: Any) -> Cause:
    """Say that a value is there twice."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_show(value)}", field)


def not_found(field: str, value: Any) -> Cause:
    """Say that a value points at nothing."""
    return Cause("FieldValueNotFound", f"Not found: {_show(value)}", field)


def too_long(field: str, limit: int) -> Cause:
    """Say that a value has too many bytes."""
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", field)


def immutable(field: str, value: Any) -> Cause:
    """Say that a field cannot be changed after creation."""
    return invalid(field, value, "field is immutable")


def at_least_zero(field: str, value: int | None) -> Iterator[Cause]:
    """Refuse a negative number."""
    if value is not None and value < 0:
        yield invalid(field, value, NON_NEGATIVE)


def choice(field: str, value: Any, supported: Iterable[str]) -> Iterator[Cause]:
    """Refuse a value that is set and none of those there are."""
    if value is not None and value not in (options := tuple(supported)):
        yield unsupported(field, value, options)
