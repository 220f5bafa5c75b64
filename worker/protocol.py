"""Open Inference Protocol v2 in JSON: bodies in, bodies out.

Hides the wire format; the rest of the worker sees `InferRequest`. Never does I/O and knows neither
queues nor time. Specification: https://github.com/kserve/open-inference-protocol
"""

import json
import math
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from worker.settings import ServiceMs

INPUT, OUTPUT, DATATYPE = "input", "output", "FP32"
"""The model's one input and one output: vectors of any length."""

EXAMPLE: dict[str, Any] = {
    "id": "42",
    "inputs": [{"name": INPUT, "shape": [1], "datatype": DATATYPE, "data": [1.0]}],
    "parameters": {"service_ms": 100.0},
}
"""A request that works, shown on /docs."""


class BadRequest(ValueError):
    """A request that cannot be served; the message says what was wanted."""


class Tensor(BaseModel):
    """A named tensor with its elements in row-major order."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]]
    datatype: str
    data: list[Annotated[float, Field(allow_inf_nan=False)]]


class InferParameters(BaseModel):
    """What a client may ask of the clock; unknown parameters are ignored, as the protocol says."""

    service_ms: ServiceMs | None = Field(
        default=None, description="Take this long, not the drawn time."
    )
    index: int | None = Field(
        default=None, ge=0, description="Draw the service time of this number."
    )
    attempt: int = Field(default=1, ge=1, description="Which try of the client this is; echoed.")


class InferRequest(BaseModel):
    """Body of POST /v2/models/{name}/infer."""

    id: str | None = None
    inputs: list[Tensor]
    parameters: InferParameters = Field(default_factory=InferParameters)


def decode(body: bytes) -> InferRequest:
    """Read and check an infer request.

    Args:
        body: The body as it came.

    Returns:
        The request; its single input fits the model.

    Raises:
        BadRequest: The body is not JSON, not a request, or its input does not fit the model.
    """
    try:
        request = InferRequest.model_validate_json(body)
    except ValidationError as exc:
        raise BadRequest(_first_mistake(exc)) from exc
    _check_inputs(request.inputs)
    return request


def _first_mistake(exc: ValidationError) -> str:
    mistake = exc.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in mistake["loc"])
    return f"{place}: {mistake['msg']}" if place else mistake["msg"]


def _check_inputs(inputs: list[Tensor]) -> None:
    seen = [(tensor.name, tensor.datatype) for tensor in inputs]
    if seen != [(INPUT, DATATYPE)]:
        raise BadRequest(f"inputs: wanted one {DATATYPE} tensor named {INPUT!r}, got {seen}")
    tensor = inputs[0]
    if math.prod(tensor.shape) != len(tensor.data):
        raise BadRequest(
            f"inputs.0: shape {tensor.shape} holds {math.prod(tensor.shape)} elements, "
            f"data has {len(tensor.data)}"
        )


def answer(
    request: InferRequest,
    data: list[float],
    *,
    model: str,
    version: str,
    parameters: dict[str, Any],
) -> bytes:
    """Write the answer to an infer request.

    Args:
        request: What is answered; its id is echoed if it has one.
        data: Elements of the output, which has the shape of the input.
        model: Name of the model.
        version: Version of the model.
        parameters: What the worker says about itself and the request.
    """
    shape = request.inputs[0].shape
    body: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        body["id"] = request.id
    body["parameters"] = parameters
    body["outputs"] = [{"name": OUTPUT, "shape": shape, "datatype": DATATYPE, "data": data}]
    return encode(body)


def error(message: str) -> bytes:
    """Write an error body."""
    return encode({"error": message})


def server_metadata(version: str) -> bytes:
    """Write the body of GET /v2."""
    return encode({"name": "k8s-inference-lab", "version": version, "extensions": []})


def model_metadata(model: str, version: str) -> bytes:
    """Write the body of GET /v2/models/{name}."""
    vector = {"datatype": DATATYPE, "shape": [-1]}
    return encode(
        {
            "name": model,
            "versions": [version],
            "platform": "clock",
            "inputs": [{"name": INPUT, **vector}],
            "outputs": [{"name": OUTPUT, **vector}],
        }
    )


def encode(body: dict[str, Any]) -> bytes:
    """Write any body of the protocol."""
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
