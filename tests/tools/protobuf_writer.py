"""Objects as a Go client would send them: the other half of `protobuf`, for tests only."""

import base64
import json
from datetime import datetime
from typing import Any

from lab_utils.controlplane import shapes


def write_object(shape: str, obj: dict[str, Any]) -> bytes:
    """Write an object with its envelope."""
    head = _bytes(1, obj.get("apiVersion", "").encode()) + _bytes(2, obj.get("kind", "").encode())
    body = _struct(shapes.type_of(shape).name, obj)
    return b"k8s\0" + _bytes(1, head) + _bytes(2, body) + _bytes(3, b"") + _bytes(4, b"")


def varint(value: int) -> bytes:
    """Write a number; negative ones take ten bytes."""
    value, written = value % 2**64, bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _bytes(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def _integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def _struct(type_name: str, obj: dict[str, Any]) -> bytes:
    return _fields(shapes.wire_numbers()[type_name], shapes.fields(type_name), obj)


def _fields(numbers: dict[str, Any], declared: Any, obj: dict[str, Any]) -> bytes:
    written = b""
    for name, number in numbers.items():
        if isinstance(number, dict):
            written += _bytes(int(name), _fields(number, declared, obj))
        elif name in obj:
            written += _field(abs(number), declared[name].type, obj[name])
    return written


def _field(number: int, type_name: str, value: Any) -> bytes:
    inner = type_name[2:]
    if type_name == "{}any":
        return _bytes(number, _bytes(1, json.dumps(value).encode()))
    if type_name.startswith("[]"):
        return b"".join(_field(number, inner, item) for item in value or ())
    if type_name.startswith("{}"):
        entries = (_bytes(1, k.encode()) + _map_value(inner, v) for k, v in (value or {}).items())
        return b"".join(_bytes(number, entry) for entry in entries)
    return _scalar(number, type_name, value)


def _map_value(type_name: str, value: Any) -> bytes:
    if not type_name.startswith("[]"):
        return _field(2, type_name, value)
    return _bytes(2, _field(1, type_name, value))


def _scalar(number: int, type_name: str, value: Any) -> bytes:
    if type_name in ("int32", "int64", "boolean"):
        return _integer(number, int(value))
    if type_name in ("time", "microtime"):
        return _bytes(number, _moment(value) if value else b"")
    if type_name == "quantity":
        return _bytes(number, _bytes(1, str(value).encode()))
    if type_name == "int-or-string":
        is_text = isinstance(value, str)
        part = _bytes(3, value.encode()) if is_text else _integer(2, value)
        return _bytes(number, _integer(1, is_text) + part)
    if type_name == "bytes":
        return _bytes(number, base64.b64decode(value))
    return _bytes(number, value.encode() if type_name == "string" else _struct(type_name, value))


def _moment(text: str) -> bytes:
    moment = datetime.fromisoformat(text)
    return _integer(1, int(moment.timestamp())) + _integer(2, moment.microsecond * 1000)
