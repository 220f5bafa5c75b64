"""The bodies of all routes as OpenAPI schemas.

Data and nothing else, imported once somebody asks for /openapi.json: most workers never are.
"""

from typing import Any

from worker.completions import MAX_CHOICES, MAX_STOPS, MAX_TOKENS
from worker.protocol import MAX_NUMBER
from worker.settings import MAX_SERVICE_MS
from worker.tensors import DATATYPES
from worker.wire import MAX_BODY_BYTES

Schema = dict[str, Any]

_STRING: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}


def _object(required: list[str] | None = None, **properties: Schema) -> Schema:
    return {"type": "object", "required": required or [], "properties": properties}


def _list(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **bounds}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_DURATION = _object(["count", "ns"], count=_COUNT, ns=_COUNT)
_WISHES = _object(
    service_ms={
        "type": "number",
        "minimum": 0,
        "maximum": MAX_SERVICE_MS,
        "description": "Take this long, not the drawn time.",
    },
    index={**_COUNT, "maximum": MAX_NUMBER, "description": "Take the time drawn for this number."},
    attempt={
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_NUMBER,
        "description": "Which try of the client this is; echoed.",
    },
)
_TOLD = _object(
    ["pod", "node", "role", "queue_s", "service_s", "batch_size", "attempt"],
    pod=_STRING,
    node=_STRING,
    role=_STRING,
    queue_s={"type": "number"},
    service_s={"type": "number"},
    batch_size={"type": "integer", "minimum": 1},
    attempt={"type": "integer", "minimum": 1},
)
_DATATYPE: Schema = {"type": "string", "enum": list(DATATYPES)}
_SHAPE = _list({**_COUNT, "maximum": 2**31 - 1})
_ELEMENTS = {**_list({}), "description": "Flat or nested as the shape, in row-major order."}
_METADATA = _object(
    ["name", "datatype", "shape"],
    name=_STRING,
    datatype=_DATATYPE,
    shape=_list({"type": "integer", "minimum": -1}),
)
_TEXT_OPTIONS: dict[str, Schema] = {
    "model": _STRING,
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": MAX_TOKENS},
    "n": {"type": "integer", "minimum": 1, "maximum": MAX_CHOICES, "default": 1},
    "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "stop": {
        "anyOf": [
            {**_STRING, "minLength": 1},
            _list({**_STRING, "minLength": 1}, maxItems=MAX_STOPS),
        ]
    },
    "stream": {**_FLAG, "default": False},
    "stream_options": _object(include_usage=_FLAG),
    "parameters": _ref("Wishes"),
}
_TOKENS = _list({"type": "integer"}, minItems=1)

SCHEMAS: dict[str, Schema] = {
    "Object": {"type": "object"},
    "Wishes": {**_WISHES, "description": "What a request may ask of the clock."},
    "Told": {**_TOLD, "description": "Who answered and what it took."},
    "Error": _object(["error"], error=_STRING),
    "OpenAIError": _object(
        ["error"],
        error=_object(
            ["message", "type", "param", "code"],
            message=_STRING,
            type=_STRING,
            param=_nullable(_STRING),
            code=_nullable(_STRING),
        ),
    ),
    "InferRequest": _object(
        ["inputs"],
        id=_STRING,
        inputs=_list(
            _object(
                ["name", "datatype", "shape"],
                name=_STRING,
                datatype=_DATATYPE,
                shape=_SHAPE,
                data=_ELEMENTS,
                parameters=_object(
                    binary_data_size={
                        **_COUNT,
                        "maximum": MAX_BODY_BYTES,
                        "description": "Bytes of this tensor after the JSON, instead of data.",
                    }
                ),
            ),
            minItems=1,
        ),
        outputs=_list(_object(["name"], name=_STRING, parameters=_object(binary_data=_FLAG))),
        parameters=_ref("Wishes"),
    ),
    "InferResponse": _object(
        ["model_name", "model_version", "parameters", "outputs"],
        model_name=_STRING,
        model_version=_STRING,
        id=_STRING,
        parameters=_ref("Told"),
        outputs=_list(
            _object(
                ["name", "datatype", "shape"],
                name=_STRING,
                datatype=_DATATYPE,
                shape=_SHAPE,
                data=_ELEMENTS,
                parameters=_object(binary_data_size=_COUNT),
            )
        ),
    ),
    "ServerMetadata": _object(
        ["name", "version", "extensions"], name=_STRING, version=_STRING, extensions=_list(_STRING)
    ),
    "ModelMetadata": _object(
        ["name", "versions", "platform", "inputs", "outputs"],
        name=_STRING,
        versions=_list(_STRING),
        platform=_STRING,
        inputs=_list(_METADATA),
        outputs=_list(_METADATA),
    ),
    "Statistics": _object(
        ["model_stats"],
        model_stats=_list(
            _object(
                ["name", "version", "last_inference", "inference_count", "execution_count"],
                name=_STRING,
                version=_STRING,
                last_inference=_COUNT,
                inference_count=_COUNT,
                execution_count=_COUNT,
                inference_stats={"type": "object", "additionalProperties": _DURATION},
                batch_stats=_list(_object(["batch_size"], batch_size=_COUNT)),
            )
        ),
    ),
    "IndexRequest": _object(ready=_FLAG),
    "RepositoryIndex": _list(
        _object(["name"], name=_STRING, version=_STRING, state=_STRING, reason=_STRING)
    ),
    "Model": _object(
        ["id", "object", "created", "owned_by"],
        id=_STRING,
        object=_STRING,
        created=_COUNT,
        owned_by=_STRING,
    ),
    "Models": _object(["object", "data"], object=_STRING, data=_list(_ref("Model"))),
    "CompletionRequest": _object(
        ["model", "prompt"],
        prompt={
            "anyOf": [
                _STRING,
                _list(_STRING, minItems=1, maxItems=MAX_CHOICES),
                _TOKENS,
                _list(_TOKENS, minItems=1, maxItems=MAX_CHOICES),
            ]
        },
        echo=_FLAG,
        **_TEXT_OPTIONS,
    ),
    "ChatRequest": _object(
        ["model", "messages"],
        messages=_list(
            _object(
                ["role", "content"],
                role=_STRING,
                content={"anyOf": [_STRING, _list(_object(["type"], type=_STRING, text=_STRING))]},
            ),
            minItems=1,
        ),
        max_completion_tokens={"type": "integer", "minimum": 1, "maximum": MAX_TOKENS},
        **_TEXT_OPTIONS,
    ),
    "TextResponse": _object(
        ["id", "object", "created", "model", "choices"],
        id=_STRING,
        object=_STRING,
        created=_COUNT,
        model=_STRING,
        choices=_list({"type": "object"}),
        usage=_object(prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT),
        parameters=_ref("Told"),
    ),
}
"""Every body by its name."""
