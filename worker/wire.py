"""What both protocols share on the wire: JSON, compressed bodies, and how a request is refused.

Hides parsers and their limits. Never knows what a body means.
"""

import json
import zlib
from typing import Any

MAX_JSON_BYTES = 64 * 1024
"""Longest JSON accepted: parsed it is 16 times as large for a moment, and a pod has 64 MiB."""

MAX_BODY_BYTES = 256 * 1024
"""Longest body accepted, binary tensors included and unpacked: a full queue of them must fit."""

_WINDOW_BITS = {"gzip": 31, "deflate": 15}  # https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1


class BadRequest(ValueError):
    """A request that cannot be served; the message says where and what was wanted.

    Attributes:
        status: HTTP status to answer with.
        param: Name of the field that is wrong, where there is one.
        code: Short name of the mistake, where the protocol has one.
    """

    def __init__(
        self, message: str, status: int = 400, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def unpack(body: bytes, encoding: str) -> bytes:
    """Undo a body's Content-Encoding.

    Args:
        body: The body as it came.
        encoding: Value of its Content-Encoding, "" where there is none.

    Returns:
        The body as it was meant, at most MAX_BODY_BYTES.

    Raises:
        BadRequest: Not an encoding known here, not encoded so, or too long.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOW_BITS:
        raise BadRequest(f"Content-Encoding {encoding!r}: wanted gzip or deflate", 415)
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        unpacked = unpacker.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as exc:
        raise BadRequest(f"body: not {encoding}: {exc}") from exc
    if len(unpacked) > MAX_BODY_BYTES:
        raise too_long()
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest(f"body: not one whole {encoding} stream")
    return unpacked


def too_long() -> BadRequest:
    """Make the refusal of a body that is too long."""
    return BadRequest(f"body: wanted at most {MAX_BODY_BYTES} bytes", 413)


def parse(text: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        text: The bytes of the body's JSON.

    Raises:
        BadRequest: Too long, not JSON, or not an object. NaN and Infinity are not JSON.
    """
    if len(text) > MAX_JSON_BYTES:
        raise BadRequest(f"body: wanted at most {MAX_JSON_BYTES} bytes of JSON", 413)
    try:
        found = _DECODER.decode(text.decode())
    except RecursionError as exc:
        raise BadRequest("body: Invalid JSON: nested too deep") from exc
    except ValueError as exc:
        raise BadRequest(f"body: Invalid JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise BadRequest(f"body: wanted an object, got {kind_of(found)}")
    return found


def encode(body: Any) -> bytes:
    """Write JSON without spaces."""
    return _ENCODER.encode(body).encode()


def error_body(
    path: str, status: int, message: str, *, param: str | None = None, code: str | None = None
) -> bytes:
    """Write an error in the form of the protocol that a path belongs to.

    Args:
        path: What was asked for.
        status: HTTP status of the answer.
        message: What was wrong and what was wanted.
        param: Name of the field that is wrong, for OpenAI's form.
        code: Short name of the mistake, for OpenAI's form.
    """
    if not speaks_openai(path):
        return encode({"error": message})
    kind = "invalid_request_error" if status < 500 else "server_error"
    kind = "rate_limit_error" if status == 429 else kind
    return encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def speaks_openai(path: str) -> bool:
    """Tell whether a path is for one of OpenAI's routes."""
    return path.startswith("/v1/")


def take(source: dict[str, Any], name: str, kind: type, place: str = "") -> Any:
    """Give a field of an object, or None where it is missing or null.

    Args:
        source: The object.
        name: Name of the field.
        kind: Type wanted: str, int, bool, list, dict, or float for any number.
        place: Where the object is, such as "inputs.0.".

    Raises:
        BadRequest: It has another type.
    """
    value = source.get(name)
    if value is None or type(value) is kind or (kind is float and type(value) is int):
        return value
    where = place + name
    raise BadRequest(f"{where}: wanted {_NAMES[kind]}, got {kind_of(value)}", param=where)


def take_number(
    source: dict[str, Any], name: str, kind: type, bounds: tuple[float, float], place: str = ""
) -> Any:
    """Give a number of an object, or None where it is missing or null.

    Args:
        source: The object.
        name: Name of the field.
        kind: int or float.
        bounds: Smallest and largest value accepted.
        place: Where the object is, such as "parameters.".

    Raises:
        BadRequest: It is no number or out of bounds.
    """
    value = take(source, name, kind, place)
    if value is not None and not bounds[0] <= value <= bounds[1]:
        where = place + name
        raise BadRequest(
            f"{where}: wanted {_NAMES[kind]} from {bounds[0]:g} to {bounds[1]:g}", param=where
        )
    return value


def kind_of(value: Any) -> str:
    """Name the JSON type of a value, for a message."""
    return "null" if value is None else _NAMES.get(type(value), "something else")


_NAMES: dict[type, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "an array",
    str: "a string",
}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


# Made once: json.loads and json.dumps make a new one per call as soon as an option is not standard.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
