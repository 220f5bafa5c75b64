"""What the API server answers when it refuses: a Kubernetes `Status`.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and the Status kind of the API.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
Object = dict[str, Any]
"""An API object as JSON: the wire format is the only format."""


@dataclass(frozen=True)
class Cause:
    """One field that is wrong: reason is FieldValueInvalid, FieldValueRequired, ..."""

    reason: str
    message: str
    field: str

    def as_dict(self) -> Object:
        """Give the wire form."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


class ApiError(Exception):
    """A refusal with its HTTP code, reason, message and details."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Object | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def as_status(self) -> Object:
        """Give the Status object that goes over the wire."""
        status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status |= {"message": self.message, "reason": self.reason}
        if self.details is not None:
            status["details"] = self.details
        return status | {"code": self.code}


def _named(group: str, plural: str, name: str) -> Object:
    details = {"name": name, "group": group, "kind": plural}
    return {key: value for key, value in details.items() if value}


def _qualified(group: str, plural: str) -> str:
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> ApiError:
    """Say that there is no such object (404 NotFound)."""
    message = f'{_qualified(group, plural)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_named(group, plural, name))


def already_exists(group: str, plural: str, name: str) -> ApiError:
    """Say that the name is taken (409 AlreadyExists)."""
    message = f'{_qualified(group, plural)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_named(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str = "") -> ApiError:
    """Say that the object has changed since it was read (409 Conflict)."""
    why = why or _MODIFIED
    message = f'Operation cannot be fulfilled on {_qualified(group, plural)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_named(group, plural, name))


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """Say which fields are wrong (422 Invalid); the kind is singular and capitalised here."""
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details = _named(group, kind, name) | {"causes": [cause.as_dict() for cause in causes]}
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {joined}', details=details)


def bad_request(message: str) -> ApiError:
    """Say that the request cannot be understood (400 BadRequest)."""
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiError:
    """Say that a policy refuses the request (403 Forbidden)."""
    about = f'{_qualified(group, plural)} "{name}"' if name else _qualified(group, plural)
    message = f"{about} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, details=_named(group, plural, name))
