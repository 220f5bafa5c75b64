"""From start to exit of a worker's process."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.tools.workers import BODY, INFER


def test_a_worker_is_live_before_its_model_is_loaded_and_ready_after(start):
    worker = start(WORKER_LOAD_S=0.5)
    assert worker.get("/v2/health/live") == (200, {"live": True})
    assert worker.get("/v2/health/ready") == (503, {"ready": False})
    refusal = worker.ask("POST", INFER, BODY)
    assert (refusal.status, refusal.headers["Retry-After"]) == (503, "1")
    worker.wait_until(lambda: worker.get("/v2/health/ready") == (200, {"ready": True}))


def test_sigterm_answers_what_is_in_service_and_in_the_queue_then_exits_0(start):
    worker = start(WORKER_SERVICE_MS=100)
    clients = [worker.send("POST", INFER, BODY) for _ in range(4)]
    worker.wait_until(lambda: worker.metric("lab_queue_depth") == 3)
    assert worker.end() == 0
    answers = [client.answer() for client in clients]
    assert [answer.status for answer in answers] == [200] * 4
    assert [answer.headers["Connection"] for answer in answers] == ["close"] * 4


def test_a_draining_worker_is_not_ready_and_closes_kept_connections(start):
    worker = start(WORKER_SERVICE_MS=200)
    kept = worker.send("GET", "/v2/health/ready")
    assert kept.answer().json() == {"ready": True}
    busy = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    worker.process.terminate()
    worker.wait_until(lambda: refuses(worker.port))
    kept.send("GET", "/v2/health/ready")
    answer = kept.answer()
    assert (answer.status, answer.headers["Connection"]) == (503, "close")
    assert busy.answer().status == 200
    assert worker.process.wait(10) == 0


def test_a_worker_that_waits_serves_kept_connections_until_they_are_closed(start):
    worker = start(WORKER_ON_SIGTERM="wait", WORKER_SERVICE_MS=1)
    kept = worker.send("POST", INFER, BODY)
    assert kept.answer().status == 200
    worker.process.terminate()
    worker.wait_until(lambda: refuses(worker.port))
    kept.send("POST", INFER, BODY)
    answer = kept.answer()
    assert (answer.status, answer.headers.get("Connection")) == (200, None)
    assert worker.process.poll() is None
    kept.close()
    assert worker.process.wait(10) == 0


def test_a_worker_that_exits_at_sigterm_loses_what_is_in_service(start):
    worker = start(WORKER_ON_SIGTERM="exit", WORKER_SERVICE_MS=5000)
    busy = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.metric("lab_requests_in_flight") == 1)
    assert worker.end() == 143
    with pytest.raises(ConnectionError):
        busy.answer()


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def run(*, send: signal.Signals | None = None, **settings: str) -> tuple[int, str]:
    """Start a worker, end it if `send`, and give its exit code and what it wrote."""
    command = [sys.executable, "-X", "importtime", "-m", "worker"]
    environ = {"PATH": os.environ["PATH"], **settings}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        written = []
        for line in process.stderr:
            if "import time" not in line:
                written.append(line)
            elif send is not None and "pydantic" in line:  # half-way through the imports
                process.send_signal(send)
                send = None
        return process.wait(30), "".join(written)


def test_sigterm_during_the_imports_ends_the_process_at_once_with_0():
    assert run(send=signal.SIGTERM, WORKER_PORT="0") == (0, "")


def test_a_setting_that_cannot_be_used_ends_the_process_with_one_sentence():
    code, written = run(WORKER_SLOTS="none")
    assert code == 1
    assert written.startswith("Cannot start with WORKER_SLOTS='none': Input should be a valid int")
    assert "Traceback" not in written


def test_a_busy_port_ends_the_process_and_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, written = run(WORKER_PORT=port)
    assert code != 0
    assert port in written
    assert "address already in use" in written


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on loopback")
def test_two_workers_with_pod_addresses_share_a_port(start):
    with socket.create_server(("127.77.9.2", 0)) as neighbour:
        port = neighbour.getsockname()[1]
        worker = start(POD_IP="127.77.9.3", WORKER_PORT=port, WORKER_HOST="0.0.0.0")
        with socket.create_connection(("127.77.9.3", port)):
            assert worker.end() == 0
