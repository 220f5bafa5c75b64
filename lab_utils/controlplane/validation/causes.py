"""How Kubernetes words that a field is wrong: one small function per reason.

Source:
    k8s.io/apimachinery/pkg/util/validation/field (errors.go)
"""

import json
from collections.abc import Iterable
from typing import Any

from lab_utils.controlplane.status import Cause


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def invalid(field: str, value: Any, why: str) -> Cause:
    """Say that a value cannot be."""
    return Cause("FieldValueInvalid", f"Invalid value: {_show(value)}: {why}", field)


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
