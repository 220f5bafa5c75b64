import json

import pytest

from worker import protocol


def body(**changes) -> bytes:
    tensor = protocol.EXAMPLE["inputs"][0] | changes
    return json.dumps({"inputs": [tensor]}).encode()


def test_the_documented_example_is_a_valid_request():
    request = protocol.decode(json.dumps(protocol.EXAMPLE).encode())
    assert (request.id, request.parameters.service_ms) == ("42", 100.0)


def test_unknown_fields_and_parameters_are_ignored_as_the_protocol_says():
    text = protocol.EXAMPLE | {"outputs": [{"name": "output"}], "parameters": {"priority": 1}}
    request = protocol.decode(json.dumps(text).encode())
    assert request.parameters == protocol.InferParameters()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"\xff\x00", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"{}", "inputs: Field required"),
        (b'{"inputs": []}', "wanted one FP32 tensor named 'input', got []"),
        (body(name="image"), "got [('image', 'FP32')]"),
        (body(datatype="INT8"), "got [('input', 'INT8')]"),
        (body(shape=[2]), "shape [2] holds 2 elements, data has 1"),
        (body(shape=[-1]), "inputs.0.shape.0: Input should be greater than or equal to 0"),
        (body(data=["x"]), "inputs.0.data.0: Input should be a valid number"),
        (body(data=[float("nan")]), "inputs.0.data.0: Input should be a finite number"),
        (b'{"inputs": [], "parameters": {"service_ms": -1}}', "parameters.service_ms"),
        (b'{"inputs": [], "parameters": {"service_ms": 1e9}}', "parameters.service_ms"),
        (b'{"inputs": [], "parameters": {"index": -1}}', "parameters.index"),
    ],
)
def test_a_bad_request_says_where_and_what_was_wanted(bad, says):
    with pytest.raises(protocol.BadRequest) as refusal:
        protocol.decode(bad)
    assert says in str(refusal.value)


def test_an_answer_has_the_shape_of_its_input_and_no_id_unless_asked():
    request = protocol.decode(body(shape=[2, 1], data=[1.0, 2.0]))
    answer = json.loads(
        protocol.answer(request, [3.0, 4.0], model="clock", version="1", parameters={"pod": "a"})
    )
    assert answer == {
        "model_name": "clock",
        "model_version": "1",
        "parameters": {"pod": "a"},
        "outputs": [{"name": "output", "shape": [2, 1], "datatype": "FP32", "data": [3.0, 4.0]}],
    }
