"""What /openapi.json and /docs say about routes, with examples that work as they stand.

The handlers read and write bodies by themselves, so FastAPI cannot know them. Never used to check
anything: that is `protocol.py` and `completions.py`. The schemas of bodies are in `schemas.py`.
"""

from typing import Any

from worker import completions
from worker.protocol import ModelSpec
from worker.tensors import TensorSpec

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def example(model: ModelSpec) -> Schema:
    """Make an infer request that works, whatever the model takes.

    Args:
        model: What takes it. Tensors of a datatype that JSON does not have are left out.
    """
    inputs = [_example_input(spec) for spec in model.inputs if spec.datatype[-4:] != "FP16"]
    return {"id": "42", "inputs": inputs, "parameters": {"service_ms": 100.0}}


def _example_input(spec: TensorSpec) -> Schema:
    shape = [max(1, length) for length in spec.shape]
    count = 1
    for length in shape:
        count *= length
    values = {"BOOL": True, "BYTES": "text", "FP32": 1.0, "FP64": 1.0}
    data = [values.get(spec.datatype, 1)] * count
    return {"name": spec.name, "shape": shape, "datatype": spec.datatype, "data": data}


def answers(name: str, *errors: int) -> Schema:
    """Describe the answers of a route.

    Args:
        name: Schema of the answer with status 200.
        *errors: The statuses with which it may refuse.
    """
    return {"responses": {"200": _content(name), **_errors("Error", errors)}}


def anything() -> Schema:
    """Describe a route that answers with some object."""
    return answers("Object")


def text_answer() -> Schema:
    """Describe a route that answers with plain text."""
    content = {"text/plain": {"schema": _STRING}}
    return {"responses": {"200": {"description": "Answered", "content": content}}}


def ready() -> Schema:
    """Describe a route that answers 503 with the same body as 200."""
    described = anything()
    described["responses"]["503"] = {**_content("Object"), "description": "Not ready"}
    return described


def refusal() -> Schema:
    """Describe a route that is there to say no."""
    return {"responses": _errors("Error", (400,))}


def infer(model: ModelSpec) -> Schema:
    """Describe the infer route."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    header = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "description": "Bytes of JSON before the binary tensors; without it the body is JSON.",
        "schema": {"type": "integer", "minimum": 0},
    }
    body = {"schema": _ref("InferRequest"), "example": example(model)}
    found = _content("InferResponse")
    found["content"]["application/octet-stream"] = binary
    return {
        "parameters": [header],
        "requestBody": {
            "required": True,
            "content": {"application/json": body, "application/octet-stream": binary},
        },
        "responses": {"200": found, **_errors("Error", (400, 413, 415, 503, 504))},
    }


def text(model: ModelSpec, *, chat: bool) -> Schema:
    """Describe a route of OpenAI's that writes text."""
    shown = completions.CHAT_EXAMPLE if chat else completions.EXAMPLE
    name = "ChatRequest" if chat else "CompletionRequest"
    body = {"schema": _ref(name), "example": {"model": model.name, **shown}}
    found = _content("TextResponse")
    found["content"]["text/event-stream"] = {"schema": _STRING}
    errors = _errors("OpenAIError", (400, 404, 413, 415, 429, 503, 504))
    return {
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {"200": found, **errors},
    }


def one_model() -> Schema:
    """Describe the route of OpenAI's that describes a model."""
    name = {"name": "model", "in": "path", "required": True, "schema": {**_STRING, "minLength": 1}}
    errors = _errors("OpenAIError", (404,))
    return {"parameters": [name], "responses": {"200": _content("Model"), **errors}}


def index() -> Schema:
    """Describe the repository's index."""
    body = {"application/json": {"schema": _ref("IndexRequest"), "example": {"ready": True}}}
    return {"requestBody": {"content": body}, **answers("RepositoryIndex", 400, 413, 415)}


def _content(name: str) -> Schema:
    return {"description": "Answered", "content": {"application/json": {"schema": _ref(name)}}}


def _errors(name: str, statuses: tuple[int, ...]) -> Schema:
    return {str(status): {**_content(name), "description": _REASONS[status]} for status in statuses}


_REASONS = {
    400: "Not a request that fits the model; says what was wanted",
    404: "No such model",
    413: "Too long",
    415: "Neither gzip nor deflate",
    429: "The queue is full; says when to retry",
    503: "Not ready, or the queue is full; says when to retry",
    504: "Dropped: it waited too long",
}
