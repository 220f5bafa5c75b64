"""The control port of a running worker: its configuration."""

import pytest

from tests.tools.workers import BODY, INFER, running


@pytest.fixture(scope="module")
def worker():
    with running(WORKER_SERVICE_MS=1, WORKER_CONTROL=1, WORKER_CONTROL_PORT=0) as started:
        yield started


def test_a_change_is_partial_says_what_changed_and_is_in_force_at_once(worker):
    answer = worker.control("PATCH", "/config", {"service_ms": 30, "slots": 1})
    assert answer.json() == {"service_ms": {"from": 1.0, "to": 30.0}}
    assert worker.infer()["parameters"]["service_s"] == 0.03
    assert worker.control("GET", "/config").json()["service_ms"] == 30.0
    back = worker.control("PATCH", "/config", {"service_ms": 1})
    assert back.json() == {"service_ms": {"from": 30.0, "to": 1.0}}


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"slots": 2, "queue": -1}, "queue: Input should be greater than or equal to 0"),
        ({"slots": 2, "port": 1}, "port: cannot be changed; can: batch_base_ms, "),
        ({"slots": 2, "speed": 9}, "speed: cannot be changed"),
        ({"slots": 2, "distribution": "trace"}, "Cannot use WORKER_TRACE='': "),
        ({"slots": 2, "service_ms": None}, "service_ms: Input should be a valid number"),
        ([1], "body: Input should be a valid dictionary"),
        (b"{", "JSON decode error"),
    ],
)
def test_a_change_with_one_mistake_changes_nothing(worker, patch, says):
    before = worker.control("GET", "/config").json()
    answer = worker.control("PATCH", "/config", patch)
    assert answer.status == 400
    assert says in answer.json()["error"]
    assert worker.control("GET", "/config").json() == before


def test_the_control_port_describes_itself_and_serves_nothing(worker):
    description = worker.control("GET", "/openapi.json").json()
    assert set(description["paths"]) == {"/config", "/faults", "/faults/{number}"}
    assert worker.control("GET", "/docs").status == 200
    refusal = worker.control("POST", INFER, BODY)
    assert (refusal.status, refusal.json()) == (404, {"error": "Not Found"})


def test_the_serving_port_has_no_control(worker):
    assert worker.ask("GET", "/config").status == 404
    assert worker.ask("POST", "/faults", {"kind": "fail"}).status == 404


def test_without_the_switch_there_is_no_control_port(start):
    worker = start(WORKER_CONTROL_PORT=0)
    assert worker.control_port is None
    worker.end()
    assert "Control" not in worker.process.stderr.read()


def test_the_control_port_answers_until_the_last_request_is_served(start):
    worker = start(WORKER_SERVICE_MS=300, WORKER_CONTROL=1, WORKER_CONTROL_PORT=0)
    busy = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    worker.process.terminate()
    assert worker.control("GET", "/config").status == 200
    assert busy.answer().status == 200
    assert worker.process.wait(10) == 0
