"""Objects as Go clients send them: Kubernetes' protobuf, read into the JSON it stands for.

Hides the wire format. Only reading: every client that
sends protobuf also takes JSON. Never judges what a value means (that is `schema`).
Source: https://protobuf.dev/programming-guides/encoding/ and
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from lab_utils.controlplane import shapes
from lab_utils.controlplane.status import Object

PROTOBUF = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Wire = int | bytes
_Message = dict[int, list[_Wire]]


class Malformed(ValueError):
    """Bytes that are no such message; the text says why."""


def read_object(body: bytes, shape: str) -> Object:
    """Read an object with the kind and version it says it has; of another kind only these.

    Args:
        body: What came.
        shape: The kind that is expected, by a name that `shapes.type_of` knows.

    Raises:
        Malformed: It is no Kubernetes protobuf, or its values do not fit the kind.
    """
    if not body.startswith(_MAGIC):
        raise Malformed(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    envelope = _message(body[len(_MAGIC) :])
    head = _message(_last_bytes(envelope, 1))
    said = {"apiVersion": _text(_last_bytes(head, 1)), "kind": _text(_last_bytes(head, 2))}
    said = {key: value for key, value in said.items() if value}
    if said.get("kind", shape) not in shape.split():
        return said
    return said | _struct(_last_bytes(envelope, 2), shapes.type_of(shape).name, 0)


def _last_bytes(message: _Message, number: int) -> bytes:
    return _as_bytes(message.get(number, [b""])[-1])


def _message(data: bytes) -> _Message:
    """Take a message apart: number -> values, in order."""
    found: _Message = {}
    for number, value in _values(data):
        found.setdefault(number, []).append(value)
    return found


def _values(data: bytes) -> Iterator[tuple[int, _Wire]]:
    at, value = 0, 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise Malformed(f"proto: illegal wireType {kind}")
        if at + size > len(data):
            raise Malformed("unexpected EOF")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Malformed("unexpected EOF")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value & (2**64 - 1), at
    raise Malformed("proto: integer overflow")


def _struct(data: bytes, type_name: str, depth: int) -> Object:
    if depth > _MAX_DEPTH:
        raise Malformed("exceeded max depth")
    return _fields(data, shapes.wire_numbers()[type_name], shapes.fields(type_name), depth)


def _fields(
    data: bytes, numbers: Mapping[str, Any], declared: Mapping[str, shapes.Field], depth: int
) -> Object:
    """Read the fields of one message; fields that nobody knows are passed over, as in Go."""
    message, result = _message(data), dict[str, Any]()
    for name, number in numbers.items():
        if isinstance(number, dict):  # a message whose fields stand in the one around it
            if int(name) in message:
                result |= _fields(_last_bytes(message, int(name)), number, declared, depth)
            continue
        values = message.get(abs(number))
        if values is None or name not in declared:
            continue
        value = _value(declared[name].type, values, depth)
        if value or number > 0:
            result[name] = value
    return result


def _value(type_name: str, values: list[_Wire], depth: int) -> Any:
    inner = type_name[2:]
    if type_name.startswith("[]"):
        return [_one(inner, value, depth) for value in _unpacked(inner, values)]
    if type_name.startswith("{}") and inner != "any":
        entries = [_message(_as_bytes(value)) for value in values]
        return {
            _text(_last_bytes(entry, 1)): _map_value(inner, entry.get(2, [b""]), depth)
            for entry in entries
        }
    return _one(type_name, values[-1], depth)


def _unpacked(type_name: str, values: list[_Wire]) -> Iterator[_Wire]:
    """Give the items of a list: numbers may come many in a piece."""
    for value in values:
        if type_name not in ("int32", "int64") or isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            yield number


def _map_value(type_name: str, values: list[_Wire], depth: int) -> Any:
    """Read what a map holds; a list in a map is wrapped in a message of its own."""
    if type_name.startswith("[]"):
        return _value(type_name, _message(_as_bytes(values[-1])).get(1, []), depth)
    return _one(type_name, values[-1], depth)


def _one(type_name: str, value: _Wire, depth: int) -> Any:
    reader = _READERS.get(type_name)
    return reader(value) if reader else _struct(_as_bytes(value), type_name, depth + 1)


def _as_bytes(value: _Wire) -> bytes:
    if isinstance(value, int):
        raise Malformed("proto: wrong wireType = 0")
    return value


def _text(value: _Wire) -> str:
    try:
        return _as_bytes(value).decode()
    except UnicodeDecodeError as exc:
        raise Malformed("proto: string field contains invalid UTF-8") from exc


def _integer(value: _Wire) -> int:
    if not isinstance(value, int):
        raise Malformed("proto: wrong wireType = 2")
    return value - 2**64 if value >= 2**63 else value


def _number(message: _Message, number: int) -> int:
    return _integer(message.get(number, [0])[-1])


def _time(digits: str) -> Callable[[_Wire], str | None]:
    def read(value: _Wire) -> str | None:
        message = _message(_as_bytes(value))
        if not message:
            return None
        micros = _number(message, 2) // 1000 if digits == "microseconds" else 0
        try:
            moment = _EPOCH + timedelta(seconds=_number(message, 1), microseconds=micros)
        except OverflowError as exc:
            raise Malformed("time out of range") from exc
        return moment.isoformat(timespec=digits).removesuffix("+00:00") + "Z"

    return read


def _int_or_string(value: _Wire) -> int | str:
    message = _message(_as_bytes(value))
    return _text(_last_bytes(message, 3)) if _number(message, 1) else _number(message, 2)


def _json(value: _Wire) -> Any:
    """Read a message around JSON, as managedFields has it."""
    raw = _last_bytes(_message(_as_bytes(value)), 1)
    try:
        return json.loads(raw) if raw else None
    except ValueError as exc:
        raise Malformed(str(exc)) from exc


_READERS: Mapping[str, Callable[[_Wire], Any]] = MappingProxyType({
    "string": _text, "int32": _integer, "int64": _integer,
    "boolean": lambda value: bool(_integer(value)),
    "bytes": lambda value: base64.b64encode(_as_bytes(value)).decode(),
    "quantity": lambda value: _text(_last_bytes(_message(_as_bytes(value)), 1)),
    "time": _time("seconds"), "microtime": _time("microseconds"),
    "int-or-string": _int_or_string, "{}any": _json,
})  # fmt: skip
