import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import protocol
from worker.protocol import ModelSpec, Wishes, output_name
from worker.tensors import parse_specs
from worker.wire import BadRequest

TENSOR = {"name": "input", "shape": [1], "datatype": "FP32", "data": [1.0]}
BINARY = {"name": "input", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}
ONE = b"\x00\x00\x80\x3f"  # 1.0
MODEL = ModelSpec("clock", "1")


def body(**changes) -> bytes:
    return json.dumps({"inputs": [TENSOR | changes]}).encode()


def decode(text: bytes, json_length: str | None = None) -> protocol.InferRequest:
    return protocol.decode(text, MODEL, json_length)


def with_blob(request: dict, blob: bytes) -> tuple[bytes, str]:
    text = json.dumps(request).encode()
    return text + blob, str(len(text))


def test_unknown_fields_and_parameters_are_ignored_as_the_protocol_says():
    text = {"inputs": [TENSOR], "parameters": {"priority": 1}, "surprise": None}
    assert decode(json.dumps(text).encode()).wishes == Wishes()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"[" * 60_000, "Invalid JSON: nested too deep"),
        (b"\xff\x00", "Invalid JSON"),
        (b" " * 65_537, "at most 65536 bytes of JSON"),
        (b"[]", "wanted an object, got an array"),
        (b"{}", "inputs: wanted an array of tensors, got none"),
        (b'{"inputs": [7]}', "inputs.0: wanted an object"),
        (b'{"inputs": []}', "inputs: model 'clock' wants FP32 'input'; got []"),
        (b'{"inputs": [], "id": 7}', "wants FP32 'input'"),
        (body(name="image"), "inputs.0.name: wanted 'input'"),
        (body(datatype="INT8"), "inputs.0.datatype: 'input' wants FP32"),
        (body(shape=None), "inputs.0.shape: 'input' wants [-1]"),
        (body(shape=[2]), "shape [2] holds 2 elements, data has 1"),
        (body(shape=[1, 1]), "inputs.0.shape: 'input' wants [-1]"),
        (body(shape=[-1]), "inputs.0.shape: 'input' wants [-1]"),
        (body(shape=[True]), "inputs.0.shape: 'input' wants [-1]"),
        (body(shape=[2**31]), "inputs.0.shape: 'input' wants [-1]"),
        (body(data=None), "either data or parameters.binary_data_size"),
        (body(parameters={"binary_data_size": 4}), "either data or parameters.binary_data_size"),
        (body(parameters={"shared_memory_region": "a"}), "shared_memory_region: this server"),
        (body(data=["x"]), "FP32 wants finite numbers in its range, got a string"),
        (body(data=[None]), "FP32 wants finite numbers in its range, got null"),
        (body(data=[[1.0]]), "got an array"),
        (body(data=[1e39]), "FP32 wants finite numbers in its range"),
        (body(data=[float("nan")]), "NaN is not a number in JSON"),
        (b'{"inputs": [{"data": 1e999}]}', "inputs.0.name"),
    ],
)
def test_a_bad_request_says_where_and_what_was_wanted(bad, says):
    with pytest.raises(BadRequest) as refusal:
        decode(bad)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"service_ms": -1}, "parameters.service_ms: wanted a number from 0 to 600000"),
        ({"service_ms": 1e9}, "parameters.service_ms"),
        ({"service_ms": "1"}, "parameters.service_ms: wanted a number, got a string"),
        ({"index": -1}, "parameters.index"),
        ({"index": 1.5}, "parameters.index: wanted a whole number, got a number"),
        ({"attempt": 0}, "parameters.attempt"),
        ({"attempt": True}, "parameters.attempt: wanted a whole number, got true or false"),
        ({"binary_data_output": 1}, "parameters.binary_data_output: wanted true or false"),
    ],
)
def test_a_bad_parameter_is_named(changes, says):
    with pytest.raises(BadRequest) as refusal:
        decode(json.dumps({"inputs": [TENSOR], "parameters": changes}).encode())
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("blob", "json_length", "says"),
    [
        (ONE, "x", "wanted a number of bytes, got 'x'"),
        (ONE, "-1", "wanted a number of bytes, got '-1'"),
        (ONE, "²", "wanted a number of bytes"),
        (ONE, "9999", "9999, but the body has"),
        (ONE[:3], None, "shape [1] of FP32 holds 4 bytes, binary data has 3"),
        (ONE + ONE, None, "tell of 4 bytes of binary data, the body has 8"),
    ],
)
def test_binary_data_that_is_not_as_announced_is_refused(blob, json_length, says):
    text, length = with_blob({"inputs": [BINARY]}, blob)
    with pytest.raises(BadRequest) as refusal:
        decode(text, json_length or length)
    assert says in str(refusal.value)


def test_a_body_of_nothing_but_one_tensor_is_a_request_for_binary_output():
    [output] = decode(ONE + ONE, "0").outputs
    assert (output.tensor.shape, output.binary, output.tensor.raw) == ([2], True, ONE + ONE)
    with pytest.raises(BadRequest, match="for models with one input"):
        protocol.decode(ONE, ModelSpec("clock", "1", parse_specs("a:FP32:1x1")), "0")


def test_an_answer_has_the_shape_of_its_input_and_no_id_unless_asked():
    model = ModelSpec("clock", "1", parse_specs("input:FP32:-1x1"))
    request = protocol.decode(body(shape=[2, 1], data=[[1.0], [2.0]]), model)
    text, json_length = protocol.answer(request, model, {"pod": "a"})
    assert json_length is None
    assert json.loads(text) == {
        "model_name": "clock",
        "model_version": "1",
        "parameters": {"pod": "a"},
        "outputs": [{"name": "output", "datatype": "FP32", "shape": [2, 1], "data": [1.0, 2.0]}],
    }


def test_an_answer_in_binary_says_where_its_json_ends():
    request = {"id": "7", "inputs": [TENSOR], "parameters": {"binary_data_output": True}}
    text, json_length = protocol.answer(decode(json.dumps(request).encode()), MODEL, {})
    assert text[json_length:] == ONE
    told = json.loads(text[:json_length])
    assert (told["id"], told["outputs"][0]["parameters"]) == ("7", {"binary_data_size": 4})


def test_an_output_cannot_be_asked_for_twice():
    request = {"inputs": [TENSOR], "outputs": [{"name": "output"}, {"name": "output"}]}
    with pytest.raises(BadRequest, match=r"outputs\.1\.name: wanted no more of them"):
        decode(json.dumps(request).encode())


@pytest.mark.parametrize(
    ("name", "output"),
    [("input", "output"), ("INPUT0", "OUTPUT0"), ("input_ids", "output_ids"), ("x", "output_x")],
)
def test_outputs_are_named_after_their_inputs(name, output):
    assert output_name(name) == output


@given(text=st.binary(max_size=200), json_length=st.none() | st.text(max_size=4))
def test_any_bytes_are_refused_or_decoded(text, json_length):
    with contextlib.suppress(BadRequest):
        decode(text, json_length)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
TENSOR_FIELDS = st.sampled_from(["name", "shape", "datatype", "data", "parameters"])
FIELDS = st.sampled_from(["id", "inputs", "outputs", "parameters"])


@given(
    tensor=st.dictionaries(TENSOR_FIELDS, ANYTHING, max_size=2),
    request=st.dictionaries(FIELDS, ANYTHING, max_size=2),
)
def test_whatever_the_fields_hold_is_refused_or_answered(tensor, request):
    text = json.dumps({"inputs": [TENSOR | tensor]} | request).encode()
    try:
        decoded = decode(text)
    except BadRequest:
        return
    assert json.loads(protocol.answer(decoded, MODEL, {})[0])["outputs"]
