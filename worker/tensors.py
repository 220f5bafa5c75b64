"""Tensors of the Open Inference Protocol: what a model takes, and elements as JSON and as bytes.

Hides datatypes and both representations; a tensor keeps its elements as the bytes of the binary
extension, which are never larger than its JSON while it waits in a queue. Never interprets them.
Bytes are little-endian on the wire and on every machine the image is built for.
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import math
import re
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from worker.wire import BadRequest, kind_of


@dataclass(frozen=True, slots=True)
class Datatype:
    """How one element is written.

    Attributes:
        size: Bytes of an element; 0 where each element tells its own length.
        code: Type code of `array` for reading numbers from JSON; "" where JSON has no such numbers.
        kinds: What an element may be in JSON.
        wanted: The same in words.
    """

    size: int
    code: str = ""
    kinds: tuple[type, ...] = (int,)
    wanted: str = "whole numbers in its range"


_REAL = ((int, float), "finite numbers in its range")
DATATYPES = {
    "BOOL": Datatype(1, "B", (bool, int), "true, false, 1 or 0"),
    "INT8": Datatype(1, "b"),
    "INT16": Datatype(2, "h"),
    "INT32": Datatype(4, "i"),
    "INT64": Datatype(8, "q"),
    "UINT8": Datatype(1, "B"),
    "UINT16": Datatype(2, "H"),
    "UINT32": Datatype(4, "I"),
    "UINT64": Datatype(8, "Q"),
    "FP16": Datatype(2),
    "BF16": Datatype(2),
    "FP32": Datatype(4, "f", *_REAL),
    "FP64": Datatype(8, "d", *_REAL),
    "BYTES": Datatype(0, "", (str,), "strings"),
}
"""Every datatype of the protocol by its name."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a model takes or gives.

    Attributes:
        name: Its name.
        datatype: A key of DATATYPES.
        shape: Its dimensions; -1 for one of any length.
    """

    name: str
    datatype: str = "FP32"
    shape: tuple[int, ...] = (-1,)

    def fits(self, shape: list[Any]) -> bool:
        """Tell whether a tensor may have this shape."""
        return len(shape) == len(self.shape) and all(
            type(got) is int and 0 <= got < 2**31 and wanted in (-1, got)
            for got, wanted in zip(shape, self.shape, strict=True)
        )


def parse_specs(text: str) -> tuple[TensorSpec, ...]:
    """Read a list of tensors such as "input:FP32:-1" or "ids:INT64:-1x8 mask:BOOL:-1x8".

    Raises:
        ValueError: It is none, or names a tensor twice.
    """
    specs = tuple(map(_parse_spec, text.split()))
    if not specs or len({spec.name for spec in specs}) < len(specs):
        raise ValueError("wanted at least one tensor, each with a name of its own")
    return specs


def _parse_spec(text: str) -> TensorSpec:
    found = re.fullmatch(r"([\w.-]+):(\w+):((-1|\d{1,6})(x(-1|\d{1,6}))*)", text, re.ASCII)
    if found is None or found[2] not in DATATYPES:
        raise ValueError(f"{text!r} is not NAME:DATATYPE:SHAPE such as input:FP32:-1x8")
    return TensorSpec(found[1], found[2], tuple(map(int, found[3].split("x"))))


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor in row-major order.

    Attributes:
        name: Its name.
        datatype: A key of DATATYPES.
        shape: Its dimensions.
        raw: Its elements as in the binary extension.
    """

    name: str
    datatype: str
    shape: list[int]
    raw: bytes

    def elements(self) -> list[Any]:
        """Give the elements as JSON has them.

        Raises:
            BadRequest: JSON cannot express them.
        """
        datatype = DATATYPES[self.datatype]
        if self.datatype == "BYTES":
            try:
                return [element.decode() for element in _split(self.raw)]
            except UnicodeDecodeError as exc:
                raise BadRequest(f"{self.name}: not UTF-8; ask for binary_data") from exc
        if not datatype.code:
            raise BadRequest(f"{self.name}: JSON has no {self.datatype}; ask for binary_data")
        numbers = array(datatype.code, self.raw)
        if self.datatype == "BOOL":
            return [number != 0 for number in numbers]
        if not _finite(numbers):
            raise BadRequest(f"{self.name}: JSON has no NaN and infinity; ask for binary_data")
        return numbers.tolist()


def from_json(spec: TensorSpec, shape: list[int], elements: list[Any], place: str) -> Tensor:
    """Make a tensor of elements in JSON, flat or nested as its shape.

    Args:
        spec: What is wanted.
        shape: Its dimensions, which fit the spec.
        elements: Value of "data".
        place: Where it came from, for a message.

    Raises:
        BadRequest: Not elements of this datatype, or not as many as the shape holds.
    """
    datatype = DATATYPES[spec.datatype]
    if not datatype.code and spec.datatype != "BYTES":
        raise BadRequest(f"{place}.data: JSON has no {spec.datatype}; send binary data")
    flat = _flatten(elements, len(shape))
    if len(flat) != math.prod(shape):
        raise BadRequest(
            f"{place}: shape {shape} holds {math.prod(shape)} elements, data has {len(flat)}"
        )
    for kind in set(map(type, flat)).difference(datatype.kinds):
        got = kind_of(kind())
        raise BadRequest(f"{place}.data: {spec.datatype} wants {datatype.wanted}, got {got}")
    try:
        raw = _join(flat) if spec.datatype == "BYTES" else _pack(spec.datatype, flat)
    except (OverflowError, ValueError) as exc:
        raise BadRequest(f"{place}.data: {spec.datatype} wants {datatype.wanted}") from exc
    return Tensor(spec.name, spec.datatype, shape, raw)


def from_binary(spec: TensorSpec, shape: list[int], raw: bytes, place: str) -> Tensor:
    """Make a tensor of elements in the binary extension.

    Args:
        spec: What is wanted.
        shape: Its dimensions, which fit the spec.
        raw: Its part of the body.
        place: Where it came from, for a message.

    Raises:
        BadRequest: Not as many bytes or elements as the shape holds.
    """
    count, size = math.prod(shape), DATATYPES[spec.datatype].size
    if size and len(raw) != count * size:
        raise BadRequest(
            f"{place}: shape {shape} of {spec.datatype} holds {count * size} bytes, "
            f"binary data has {len(raw)}"
        )
    if not size:
        try:
            found = sum(1 for _ in _split(raw))
        except (struct.error, EOFError) as exc:
            raise BadRequest(f"{place}: binary data ends within an element") from exc
        if found != count:
            raise BadRequest(f"{place}: shape {shape} holds {count} elements, data has {found}")
    return Tensor(spec.name, spec.datatype, shape, raw)


def _flatten(elements: list[Any], rank: int) -> list[Any]:
    for _ in range(rank - 1):
        if {type(element) for element in elements} != {list} or len(set(map(len, elements))) > 1:
            break  # flat already, or ragged
        elements = list(chain.from_iterable(elements))
    return elements


def _pack(datatype: str, numbers: list[Any]) -> bytes:
    if datatype == "BOOL" and not {0, 1}.issuperset(numbers):
        raise ValueError
    packed = array(DATATYPES[datatype].code, numbers)
    if not _finite(packed):  # 1e400, or 1e39 in 32 bits
        raise ValueError
    return packed.tobytes()


def _finite(numbers: "array[Any]") -> bool:
    return numbers.typecode not in "fd" or all(map(math.isfinite, numbers))


def _join(strings: list[str]) -> bytes:
    encoded = [string.encode() for string in strings]
    return b"".join(struct.pack("<I", len(element)) + element for element in encoded)


def _split(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        start, at = at + 4, at + 4 + length
        if at > len(raw):
            raise EOFError
        yield raw[start:at]
