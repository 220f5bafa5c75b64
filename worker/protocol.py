"""Open Inference Protocol v2, with Triton's binary tensors: infer bodies in, infer bodies out.

Hides the wire format; the routes see `InferRequest`. Never does I/O and knows neither queues nor
time. https://github.com/kserve/open-inference-protocol and, for tensors after the JSON,
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.settings import MAX_SERVICE_MS, Settings
from worker.tensors import DATATYPES, Tensor, TensorSpec, from_binary, from_json, parse_specs
from worker.wire import MAX_BODY_BYTES, BadRequest, encode, parse, take, take_number

MAX_NUMBER = 2**63 - 1
"""Largest index and attempt: parameters of the protocol are int64."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the model is called and takes. It answers every input with an output of equal value.

    Attributes:
        name: Its name.
        version: Its only version.
        inputs: The tensors of a request, all of them.
    """

    name: str
    version: str
    inputs: tuple[TensorSpec, ...] = (TensorSpec("input"),)

    @classmethod
    def of(cls, settings: Settings) -> "ModelSpec":
        """Give the model that the settings ask for."""
        return cls(settings.model, settings.version, parse_specs(settings.inputs))

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors of an answer, in the order of the inputs."""
        return tuple(
            TensorSpec(output_name(spec.name), spec.datatype, spec.shape) for spec in self.inputs
        )


def output_name(name: str) -> str:
    """Name the output of an input: `input` gives `output`, `INPUT0` `OUTPUT0`, `x` `output_x`."""
    named = name.replace("input", "output").replace("INPUT", "OUTPUT")
    return named if named != name else f"output_{name}"


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor of the answer, and whether it is wanted as binary data."""

    tensor: Tensor
    binary: bool


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request may ask of the clock; other parameters are ignored, as the protocol says.

    Attributes:
        service_s: Take this long, not the drawn time.
        index: Take the time drawn for this number.
        attempt: Which try of the client this is, to be echoed.
    """

    service_s: float | None = None
    index: int | None = None
    attempt: int = 1

    @classmethod
    def of(cls, request: dict[str, Any]) -> "Wishes":
        """Read the parameters of a request of either protocol."""
        parameters = take(request, "parameters", dict)
        if not parameters:
            return cls()
        ms = take_number(parameters, "service_ms", float, (0, MAX_SERVICE_MS), "parameters.")
        index = take_number(parameters, "index", int, (0, MAX_NUMBER), "parameters.")
        attempt = take_number(parameters, "attempt", int, (1, MAX_NUMBER), "parameters.")
        return cls(None if ms is None else ms / 1000, index, attempt or 1)


@dataclass(frozen=True, slots=True)
class InferRequest:
    """An infer request that fits the model.

    Attributes:
        id: What the client calls it, to be echoed.
        outputs: What to answer with.
        wishes: What it asks of the clock.
    """

    id: str | None
    outputs: list[Output]
    wishes: Wishes


def decode(body: bytes, model: ModelSpec, json_length: str | None = None) -> InferRequest:
    """Read and check an infer request.

    Args:
        body: The body, unpacked.
        model: What it must fit.
        json_length: The header Inference-Header-Content-Length, where there is one: where the
            JSON ends and binary tensors begin. "0": the body is the model's one input and no JSON.

    Raises:
        BadRequest: The body is no request or does not fit the model.
    """
    if json_length is None:
        request, blob = parse(body), b""
    else:
        at = _position(json_length, len(body))
        blob = body[at:]
        request = parse(body[:at]) if at else _raw_request(blob, model)
    inputs = _inputs(request, blob, model)
    return InferRequest(
        id=take(request, "id", str),
        outputs=_outputs(request, inputs, in_json=not blob),
        wishes=Wishes.of(request),
    )


def answer(
    request: InferRequest, model: ModelSpec, parameters: dict[str, Any]
) -> tuple[bytes, int | None]:
    """Write the answer to an infer request.

    Args:
        request: What is answered; its id is echoed if it has one.
        model: Who answers.
        parameters: What the worker says about itself and the request.

    Returns:
        The body, and the length of its JSON where binary tensors follow.
    """
    body: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request.id is not None:
        body["id"] = request.id
    body["parameters"] = parameters
    body["outputs"] = [_describe(output) for output in request.outputs]
    text = encode(body)
    blobs = [output.tensor.raw for output in request.outputs if output.binary]
    return (b"".join([text, *blobs]), len(text)) if blobs else (text, None)


def _describe(output: Output) -> dict[str, Any]:
    tensor = output.tensor
    described = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if output.binary:
        return described | {"parameters": {"binary_data_size": len(tensor.raw)}}
    return described | {"data": tensor.elements()}


def _position(json_length: str, body_length: int) -> int:
    if not (json_length.isascii() and json_length.isdigit() and len(json_length) < 10):
        raise BadRequest(
            f"Inference-Header-Content-Length: wanted a number of bytes, got {json_length!r}"
        )
    if int(json_length) > body_length:
        raise BadRequest(
            f"Inference-Header-Content-Length: {json_length}, but the body has {body_length} bytes"
        )
    return int(json_length)


def _raw_request(blob: bytes, model: ModelSpec) -> dict[str, Any]:
    """Make the request that a body of nothing but one tensor stands for."""
    spec = model.inputs[0]
    size = DATATYPES[spec.datatype].size
    if len(model.inputs) != 1 or spec.shape != (-1,) or not size:
        raise BadRequest(
            "Inference-Header-Content-Length: 0 is for models with one input of shape [-1] and a "
            "datatype of fixed size"
        )
    tensor = {
        "name": spec.name,
        "datatype": spec.datatype,
        "shape": [len(blob) // size],
        "parameters": {"binary_data_size": len(blob)},
    }
    return {"inputs": [tensor], "parameters": {"binary_data_output": True}}


def _inputs(request: dict[str, Any], blob: bytes, model: ModelSpec) -> list[Tensor]:
    """Read the inputs, in the order of the model's."""
    given = take(request, "inputs", list)
    if given is None:
        raise BadRequest("inputs: wanted an array of tensors, got none")
    specs = {spec.name: spec for spec in model.inputs}
    found: dict[str, Tensor] = {}
    at = 0
    for number, described in enumerate(given):
        place = f"inputs.{number}"
        tensor, at = _input(described, specs, blob, at, place)
        if tensor.name in found:
            raise BadRequest(f"{place}: {tensor.name!r} is given twice")
        found[tensor.name] = tensor
    if at != len(blob):
        raise BadRequest(f"inputs: tell of {at} bytes of binary data, the body has {len(blob)}")
    if len(found) != len(specs):
        wanted = [f"{spec.datatype} {spec.name!r}" for spec in model.inputs]
        raise BadRequest(
            f"inputs: model {model.name!r} wants {', '.join(wanted)}; got {list(found)}"
        )
    return [found[name] for name in specs]


def _input(
    described: Any, specs: dict[str, TensorSpec], blob: bytes, at: int, place: str
) -> tuple[Tensor, int]:
    """Read one input; `at` is where its binary data would begin, and then where it ends."""
    if type(described) is not dict:
        raise BadRequest(f"{place}: wanted an object")
    spec = specs.get(take(described, "name", str, f"{place}."))
    if spec is None:
        raise BadRequest(f"{place}.name: wanted {' or '.join(map(repr, specs))}")
    if take(described, "datatype", str, f"{place}.") != spec.datatype:
        raise BadRequest(f"{place}.datatype: {spec.name!r} wants {spec.datatype}")
    shape = take(described, "shape", list, f"{place}.")
    if shape is None or not spec.fits(shape):
        raise BadRequest(
            f"{place}.shape: {spec.name!r} wants {list(spec.shape)}, where -1 is any length"
        )
    parameters = _parameters(described, place)
    size = take_number(
        parameters, "binary_data_size", int, (0, MAX_BODY_BYTES), f"{place}.parameters."
    )
    data = take(described, "data", list, f"{place}.")
    if (size is None) == (data is None):
        raise BadRequest(f"{place}: wanted either data or parameters.binary_data_size")
    if size is None:
        return from_json(spec, shape, data, place), at
    return from_binary(spec, shape, blob[at : at + size], place), at + size


def _parameters(described: dict[str, Any], place: str) -> dict[str, Any]:
    parameters: dict[str, Any] = take(described, "parameters", dict, f"{place}.") or {}
    for name in ("shared_memory_region", "classification"):
        if parameters.get(name):
            raise BadRequest(f"{place}.parameters.{name}: this server does not have it")
    return parameters


def _outputs(request: dict[str, Any], inputs: Sequence[Tensor], *, in_json: bool) -> list[Output]:
    """Make the outputs that are asked for; all of them where none is named."""
    parameters = take(request, "parameters", dict) or {}
    binary = take(parameters, "binary_data_output", bool, "parameters.") or False
    values = {
        output_name(tensor.name): Tensor(
            output_name(tensor.name), tensor.datatype, tensor.shape, tensor.raw
        )
        for tensor in inputs
    }
    wanted = take(request, "outputs", list)
    if not wanted:
        outputs = [Output(tensor, binary) for tensor in values.values()]
    else:
        outputs = [_output(wish, values, binary, n) for n, wish in enumerate(wanted)]
    for output in outputs:
        if not (in_json or output.binary):
            output.tensor.elements()  # refuses now, before service, what JSON cannot express
    return outputs


def _output(wish: Any, values: dict[str, Tensor], binary: bool, number: int) -> Output:
    """Give one output and take it out of the values, so that nobody asks for it twice."""
    place = f"outputs.{number}"
    if type(wish) is not dict:
        raise BadRequest(f"{place}: wanted an object")
    tensor = values.pop(take(wish, "name", str, f"{place}."), None)
    if tensor is None:
        left = " or ".join(map(repr, values)) or "no more of them"
        raise BadRequest(f"{place}.name: wanted {left}")
    told = take(_parameters(wish, place), "binary_data", bool, f"{place}.parameters.")
    return Output(tensor, binary if told is None else told)
