"""The OpenAPI description against the worker that gives it."""

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.tools.workers import Worker, running

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Give a worker that takes no time, whatever it is asked for."""
    with running(
        WORKER_SERVICE_MS=0, WORKER_PREFILL_MS=0, WORKER_PROMPT_TOKEN_MS=0, WORKER_TOKEN_MS=0
    ) as started:
        yield started


@pytest.fixture(scope="module")
def description(worker: Worker) -> dict:
    return worker.get("/openapi.json")[1]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_whatever_is_sent_is_answered_as_described_and_never_with_a_500(worker, mode):
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{worker.port}/openapi.json")
    for operation in (found.ok() for found in schema.get_all_operations()):
        if mode is GenerationMode.POSITIVE or operation.body:
            fuzz(operation, mode)
    assert worker.get("/v2/health/live") == (200, {"live": True})


def fuzz(operation: APIOperation, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=SLOW)
    def send(case: Case) -> None:
        if isinstance(case.body, dict) and isinstance(case.body.get("parameters"), dict):
            case.body["parameters"].pop("service_ms", None)  # it would take up to ten minutes
        case.call_and_validate(checks=CHECKS)

    send()


def operations(description: dict) -> Iterator[tuple[str, str, dict]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_example_works(worker, description):
    shown = 0
    for method, path, operation in operations(description):
        content = operation.get("requestBody", {}).get("content", {})
        if "example" in content.get("application/json", {}):
            answer = worker.ask(method, path, content["application/json"]["example"])
            assert answer.status == 200, (path, answer.body)
            shown += 1
    assert shown == 5


def test_everything_that_is_referred_to_is_there(description):
    text = json.dumps(description)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in description["components"]["schemas"]


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_description_is_shown(worker, path):
    assert worker.ask("GET", path).status == 200
