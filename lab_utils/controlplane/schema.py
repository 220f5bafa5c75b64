"""From JSON to what Kubernetes would have understood of it.

Hides the rules of Go's JSON decoder and encoder: what is an unknown field, what is a type error and
how it is worded, what is left out of an answer because it is empty. Never judges a value that has
the right type (that is `validation`).
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from lab_utils.controlplane import shapes
from lab_utils.controlplane.quantities import canonical_quantity, round_to_milli
from lab_utils.controlplane.shapes import Type
from lab_utils.controlplane.status import ApiError, Object, bad_request
from lab_utils.errors import InvalidInput

# Strings that are pointers in Go, or always written: "" is a value.
_KEPT_EMPTY = frozenset({("DiscoveryV1EndpointPort", "name"), ("V1Volume", "name")})
_GO_SCALARS = {"boolean": "bool", "bytes": "[]uint8", "number": "float64", "any": "interface {}"}
_JSON_TYPES = {bool: "bool", str: "string", list: "array", dict: "object"}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_ZEROS = {"boolean": False, "int32": 0, "int64": 0}


class DecodeError(ValueError):
    """A value of the wrong type; the text is what Go's decoder says."""


def decode(kind: str, obj: Object) -> tuple[Object, list[str]]:
    """Give an object as Kubernetes would write it again, and what strict decoding refuses.

    Unknown fields, nulls and empty values are gone, quantities and times are in canonical form.
    What was unknown comes as texts like `unknown field "spec.foo"`, in the order of the document.

    Raises:
        ApiError: 400, a field has the wrong type.
    """
    try:
        decoder = _Decoder(kind, obj)
    except DecodeError as exc:
        raise cannot_be_handled(kind, str(exc)) from exc
    return decoder.result, decoder.unknown


def check(kind: str, obj: Object) -> list[str]:
    """Find what strict decoding refuses."""
    return decode(kind, obj)[1]


def drop_unknown(kind: str, obj: Object) -> Object:
    """Give the object as Kubernetes would write it again."""
    return decode(kind, obj)[0]


def decode_error(kind: str, obj: Object) -> str | None:
    """Say what is wrong with the types in an object, without the sentence around it."""
    try:
        _Decoder(kind, obj)
    except DecodeError as exc:
        return str(exc)
    return None


def cannot_be_handled(kind: str, why: str) -> ApiError:
    """Refuse a body as Kubernetes does (400 BadRequest): also for `strict decoding error: ...`."""
    version, name = shapes.type_of(kind).go_version, kind.rpartition(" ")[2]
    return bad_request(f'{name} in version "{version}" cannot be handled as a {name}: {why}')


class _Decoder:
    """One walk over an object: its clean copy and the unknown fields met on the way."""

    def __init__(self, kind: str, obj: Object) -> None:
        self.unknown: list[str] = []
        self.result: Object = self._struct(shapes.type_of(kind), obj, "", "")

    def _struct(self, struct: Type, obj: Object, path: str, go_path: str) -> Object:
        """Decode an object; Go's messages give the path without the indices of lists."""
        result: Object = {}
        for name, value in obj.items():
            field = struct.fields.get(name)
            inner, go_inner = _join(path, name), _join(go_path, name)
            if field is None:
                self.unknown.append(f'unknown field "{inner}"')
                continue
            decoded = self._value(field.type, value, inner, (struct, go_inner))
            if not _is_omitted(struct, name, field, decoded):
                result[name] = decoded
        return result

    def _value(self, type_name: str, value: Any, path: str, owner: tuple[Type, str]) -> Any:
        if value is None:
            return None
        struct, item_type = shapes.get_type(type_name), type_name[2:]
        try:
            if type_name.startswith("[]"):
                return [
                    self._item(item_type, item, f"{path}[{i}]", owner)
                    for i, item in enumerate(_list(value))
                ]
            if type_name.startswith("{}"):
                return {
                    key: self._item(item_type, item, f"{path}.{key}", owner)
                    for key, item in _map(value).items()
                }
            if struct is not None:
                return self._struct(struct, _map(value), path, owner[1])
            return _READERS[type_name](value) if type_name in _READERS else value
        except TypeError as exc:
            where = f"{owner[0].go_name}.{owner[1]} of type {_go_type(type_name)}"
            raise DecodeError(f"json: cannot unmarshal {exc} into Go struct field {where}") from exc

    def _item(self, type_name: str, value: Any, path: str, owner: tuple[Type, str]) -> Any:
        """Decode what is inside a list or map, where null is the zero value of the type."""
        decoded = self._value(type_name, value, path, owner)
        if type_name == "quantity":
            return round_to_milli(decoded or "0")
        if decoded is not None or type_name == "any":
            return decoded
        return {} if shapes.get_type(type_name) else _ZEROS.get(type_name, "")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_omitted(struct: Type, name: str, field: shapes.Field, value: Any) -> bool:
    if value is None:
        return True
    if value in ("", [], {}):
        is_struct = shapes.get_type(field.type) is not None
        return not is_struct and not field.required and (struct.name, name) not in _KEPT_EMPTY
    return not value and field.omits_zero


def _go_type(type_name: str) -> str:
    if type_name.startswith("[]"):
        return "[]" + _go_type(type_name[2:])
    if type_name.startswith("{}"):
        return "map[string]" + _go_type(type_name[2:])
    struct = shapes.get_type(type_name)
    if struct is not None:
        return f"{struct.go_version}.{struct.go_name}"
    return _GO_SCALARS.get(type_name, type_name)


# What follows reads one value: a TypeError names the JSON type that came instead.


def _of(wanted: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise TypeError(_JSON_TYPES.get(type(value), "number"))
        return value

    return read


_list, _map = _of(list), _of(dict)


def _integer(limit: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(_JSON_TYPES[type(value)])
        if value % 1 or not -limit <= value < limit:
            raise TypeError(f"number {value}")
        return int(value)

    return read


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, str) or type(value) is int:
        return value
    seen = _JSON_TYPES.get(type(value), "number")
    raise DecodeError(f"json: cannot unmarshal {seen} into Go value of type int32")


def _quantity(value: Any) -> str:
    try:
        return canonical_quantity(value)
    except InvalidInput as exc:
        raise DecodeError(str(exc)) from exc


def _time(layout: str, digits: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            seen = _JSON_TYPES.get(type(value), "number")
            raise DecodeError(f"json: cannot unmarshal {seen} into Go value of type string")
        try:
            if not _RFC3339.fullmatch(value):
                raise ValueError(value)
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value)).astimezone(UTC)
        except (ValueError, OverflowError):
            text = f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"'
            raise DecodeError(text) from None
        return moment.isoformat(timespec=digits).removesuffix("+00:00") + "Z"

    return read


def _bytes(value: Any) -> str:
    text = re.sub(r"[\r\n]", "", _of(str)(value))
    try:
        base64.b64decode(text, validate=True)
    except ValueError:  # also for what is not even ASCII
        legal = re.match(r"[A-Za-z0-9+/]*", text)
        at = legal.end() if legal else 0
        raise DecodeError(f"illegal base64 data at input byte {at}") from None
    return text


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "string": _of(str), "boolean": _of(bool), "int32": _integer(2**31), "int64": _integer(2**63),
    "time": _time("2006-01-02T15:04:05Z07:00", "seconds"),
    "microtime": _time("2006-01-02T15:04:05.000000Z07:00", "microseconds"),
    "quantity": _quantity, "int-or-string": _int_or_string, "bytes": _bytes,
}  # fmt: skip
