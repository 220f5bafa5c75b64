"""The HTTP interface of a running worker."""

import json
import socket

import pytest

from tests.tools.workers import BODY, INFER


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/clock/ready", {"ready": True}),
        ("/v2/models/clock/versions/1/ready", {"ready": True}),
    ],
)
def test_health_and_names(worker, path, answer):
    assert worker.get(path) == (200, answer)


def test_the_metadata_describes_the_tensors_that_infer_takes(worker):
    _, metadata = worker.get("/v2/models/clock")
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1]}]
    assert metadata["versions"] == ["1"]


def test_every_answer_says_who_gave_it_and_what_it_took(worker):
    answer = worker.infer(service_ms=20, attempt=3)
    assert answer["parameters"] | {"queue_s": 0} == {
        "pod": "worker-1",
        "node": "lab-worker",
        "role": "primary",
        "queue_s": 0,
        "service_s": 0.02,
        "batch_size": 1,
        "attempt": 3,
    }
    assert answer["outputs"][0]["data"] == [1.0]


def test_the_id_comes_back_and_times_are_in_server_timing_too(worker):
    answer = worker.ask("POST", INFER, BODY | {"id": "42", "parameters": {"service_ms": 2}})
    assert answer.json()["id"] == "42"
    assert answer.headers["Server-Timing"] == "queue;dur=0.000, service;dur=2.000"


def test_the_same_index_takes_the_same_time_on_every_replica(start):
    settings = {"WORKER_DISTRIBUTION": "exponential", "WORKER_SERVICE_MS": 5, "WORKER_SEED": 3}
    answers = [start(**settings).infer(index=17) for _ in range(2)]
    first, second = (answer["parameters"]["service_s"] for answer in answers)
    assert first == second


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", INFER, b"{", 400, "Invalid JSON"),
        ("POST", INFER, b"x" * 262_145, 413, "at most 262144 bytes"),
        ("GET", INFER, None, 405, "Method Not Allowed"),
        ("POST", "/v2/models/bert/infer", b"{}", 404, "the model here is 'clock', version '1'"),
        (
            "POST",
            "/v2/models/clock/versions/2/infer",
            b"{}",
            404,
            "the model here is 'clock', version '1'",
        ),
        ("GET", "/v2/", None, 404, "Not Found"),
        ("GET", "/", None, 404, "Not Found"),
        ("POST", "/v2/repository/index", b"[]", 400, "wanted an object"),
        ("GET", "/v2/../etc/passwd", None, 404, "Not Found"),
    ],
)
def test_errors_have_the_protocols_form(worker, method, path, body, status, says):
    answer = worker.ask(method, path, body)
    assert answer.status == status
    assert says in answer.json()["error"]


@pytest.mark.parametrize("control", [0, 1], ids=["plain", "with control port"])
def test_what_is_not_http_is_an_error_of_the_same_form(start, control):
    worker = start(WORKER_CONTROL=control, WORKER_CONTROL_PORT=0)
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as client:
        client.sendall(b"nonsense\r\n\r\n")
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body) == {"error": "Invalid HTTP request received."}


def test_metrics_tell_of_requests_process_and_load(worker):
    worker.infer()
    before = worker.metric('lab_requests_total{code="200"}')
    worker.infer()
    assert worker.metric('lab_requests_total{code="200"}') == before + 1
    assert worker.metric("process_cpu_seconds_total") > 0
    assert worker.metric("process_resident_memory_bytes") > 2**20


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(start):
    worker = start(WORKER_QUEUE=0)
    running = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    refusal = worker.ask("POST", INFER, BODY)
    assert (refusal.status, refusal.headers["Retry-After"]) == (503, "1")
    assert "queue is full" in refusal.json()["error"]
    assert running.answer().status == 200


def test_a_request_whose_client_has_gone_is_dropped_before_service(start):
    worker = start(WORKER_SERVICE_MS=500)
    running = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    gone = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_queue_depth") == 1)
    gone.close()
    worker.wait_until(lambda: worker.metric("lab_queue_depth") == 0)
    assert worker.metric('lab_requests_total{code="499"}') == 1
    assert running.answer().status == 200


def test_a_worker_that_does_not_notice_serves_a_client_who_has_gone(start):
    worker = start(WORKER_SERVICE_MS=100, WORKER_NOTICE_GONE="0")
    running = worker.send("POST", INFER, BODY)
    gone = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_queue_depth") == 1)
    gone.close()
    assert running.answer().status == 200
    worker.wait_until(lambda: worker.metric('lab_requests_total{code="200"}') == 2)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_failure(start):
    worker = start()
    with socket.create_connection(("127.0.0.1", worker.port)) as client:
        client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
    worker.wait_until(lambda: 'code="499"' in worker.ask("GET", "/metrics").body.decode())
    worker.end()
    assert "Traceback" not in worker.process.stderr.read()


def test_health_answers_while_the_cpu_burns(start):
    worker = start(WORKER_MODE="burn", WORKER_SERVICE_MS=400)
    burning = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    assert worker.get("/v2/health/live")[0] == 200
    assert burning.answer().json()["parameters"]["service_s"] >= 0.4
