import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.tensors import DATATYPES, TensorSpec, from_binary, from_json, parse_specs
from worker.wire import BadRequest

NUMBERS = {
    "BOOL": st.booleans(),
    "INT8": st.integers(-(2**7), 2**7 - 1),
    "INT16": st.integers(-(2**15), 2**15 - 1),
    "INT32": st.integers(-(2**31), 2**31 - 1),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "UINT8": st.integers(0, 2**8 - 1),
    "UINT16": st.integers(0, 2**16 - 1),
    "UINT32": st.integers(0, 2**32 - 1),
    "UINT64": st.integers(0, 2**64 - 1),
    "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FP64": st.floats(allow_nan=False, allow_infinity=False),
    "BYTES": st.text(st.characters(codec="utf-8")),
}


@given(data=st.data(), datatype=st.sampled_from(sorted(NUMBERS)))
def test_elements_survive_json_and_bytes(data, datatype):
    elements = json.loads(json.dumps(data.draw(st.lists(NUMBERS[datatype]))))
    spec, shape = TensorSpec("input", datatype), [len(elements)]
    tensor = from_json(spec, shape, elements, "inputs.0")
    assert tensor.elements() == elements
    assert from_binary(spec, shape, tensor.raw, "inputs.0") == tensor
    assert not DATATYPES[datatype].size or len(tensor.raw) == len(elements) * (
        DATATYPES[datatype].size
    )


@given(rows=st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1))
def test_nested_elements_are_the_flat_ones(rows):
    spec = TensorSpec("input", "INT8", (-1, 3))
    flat = [element for row in rows for element in row]
    nested, plain = (from_json(spec, [len(rows), 3], data, "inputs.0") for data in (rows, flat))
    assert nested == plain


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("INT8", [128]),
        ("UINT8", [-1]),
        ("INT64", [2**63]),
        ("UINT32", [1.0]),
        ("INT32", [True]),
        ("BOOL", [2]),
        ("FP32", [True]),
        ("FP32", [1e39]),
        ("FP64", [10**400]),
        ("BYTES", [1]),
        ("BYTES", ["\ud800"]),
        ("FP16", [1.0]),
        ("BF16", [1.0]),
        ("INT8", [[1], [2, 3]]),
        ("INT8", [{}]),
    ],
)
def test_elements_that_are_not_of_the_datatype_are_refused(datatype, data):
    with pytest.raises(BadRequest, match=datatype):
        from_json(TensorSpec("input", datatype), [len(data)], data, "inputs.0")


@pytest.mark.parametrize(
    "raw",
    [b"\x01", struct.pack("<I", 5) + b"four", struct.pack("<I", 0) * 2],
    ids=["half a length", "short element", "two elements"],
)
def test_strings_that_do_not_fill_their_shape_are_refused(raw):
    with pytest.raises(BadRequest, match=r"inputs\.0"):
        from_binary(TensorSpec("input", "BYTES"), [1], raw, "inputs.0")


@pytest.mark.parametrize(
    ("datatype", "raw", "says"),
    [
        ("FP32", struct.pack("<f", float("inf")), "JSON has no NaN and infinity"),
        ("FP16", b"\x00\x00", "JSON has no FP16"),
        ("BYTES", struct.pack("<I", 1) + b"\xff", "not UTF-8"),
    ],
)
def test_what_json_cannot_express_is_refused_with_the_way_out(datatype, raw, says):
    tensor = from_binary(TensorSpec("input", datatype), [1], raw, "inputs.0")
    with pytest.raises(BadRequest, match=f"{says}.*; ask for binary_data"):
        tensor.elements()


def test_a_list_of_tensors_is_read():
    assert parse_specs("ids:INT64:-1x8 mask:BOOL:2") == (
        TensorSpec("ids", "INT64", (-1, 8)),
        TensorSpec("mask", "BOOL", (2,)),
    )


@pytest.mark.parametrize("text", ["", "a", "a:FP8:1", "a:FP32:", "a:FP32:-2", "a:BOOL:1 a:BOOL:1"])
def test_what_is_no_list_of_tensors_is_refused(text):
    with pytest.raises(ValueError, match=r"wanted at least one|is not NAME:DATATYPE:SHAPE"):
        parse_specs(text)
