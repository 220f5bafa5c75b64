"""The load generator of a pod: what it answers, and to whom."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest

from lab_utils.loadgen.agent import PORT, Agent, make_server
from lab_utils.loadgen.plan import Plan
from lab_utils.waiting import wait_for

TOKEN = "secret"


class Pod:
    """An agent behind its server, on loopback."""

    def __init__(self):
        self.agent = Agent()
        self._server = make_server(self.agent, TOKEN, "127.0.0.1", 0)
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()

    def ask(self, method, path, body=None, token=TOKEN):
        connection = http.client.HTTPConnection(*self._server.server_address, timeout=30)
        text = None if body is None else json.dumps(body)
        connection.request(method, f"/{token}/{path}" if token else f"/{path}", text)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        return answer.status, told

    def close(self):
        self.agent.close()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pod():
    made = Pod()
    yield made
    made.close()


def plan(**changes):
    return asdict(Plan((("http://127.0.0.1:1",),), **changes))


def test_a_plan_in_pieces_is_carried_out_at_the_told_time(pod):
    wanted_s = time.time() + 1.0
    assert pod.ask("POST", "plan", plan(first=1, step=2)) == (200, {})
    assert pod.ask("POST", "schedule", [0.0, 0.01]) == (200, {})
    assert pod.ask("POST", "schedule", [0.02]) == (200, {})
    status, clock = pod.ask("POST", "start", {"start_unix_s": wanted_s})
    assert status == 200
    assert clock["start_unix_s"] == pytest.approx(wanted_s, abs=0.001)
    rows, deadline = [], time.monotonic() + 20
    while not (told := pod.ask("GET", f"rows/{len(rows)}")[1])["finished"]:
        rows += told["rows"]
        assert time.monotonic() < deadline
    rows += told["rows"]
    assert sorted(row["request_id"] for row in rows) == [1, 3, 5]
    assert {row["attempts"][0]["error"] for row in rows} == {"refused"}
    assert (told["sent"], told["failed"], told["end"]["interrupted"]) == (3, 3, False)


def test_a_run_is_stopped_in_the_middle(pod):
    pod.ask("POST", "plan", plan())
    pod.ask("POST", "schedule", [0.0, 3600.0])
    pod.ask("POST", "start", {"start_unix_s": time.time()})
    assert pod.ask("POST", "stop", {})[0] == 200
    assert pod.ask("GET", "rows/0")[1]["end"]["interrupted"]


def test_who_does_not_know_the_token_gets_nothing_but_the_probe(pod):
    assert pod.ask("GET", "ready", token="")[0] == 200
    for token in ("", "wrong"):
        assert pod.ask("GET", "clock", token=token)[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("start", {"start_unix_s": 0}, "there is no plan"),
        ("stop", {}, "nothing was started"),
        ("schedule", ["soon"], "could not convert"),
        ("plan", {"targets": [], "nonsense": 1, "scheduled_s": [], "policy": {}}, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(pod, path, body, reason):
    status, told = pod.ask("POST", path, body)
    assert status == 400
    assert reason in told["error"]


def test_it_leaves_when_told(pod):
    assert pod.ask("POST", "leave", {})[0] == 200
    assert pod.agent.left.is_set()


def test_sigterm_ends_it_with_success():
    command = [sys.executable, "-m", "lab_utils.loadgen.agent"]
    high, low = divmod(os.getpid(), 250)
    host = f"127.8.{high % 250}.{low + 1}"  # nobody else's
    process = subprocess.Popen(command, env=os.environ | {"LAB_TOKEN": TOKEN, "POD_IP": host})
    try:
        wait_for(
            lambda: True if answers(host) else None,
            timeout_s=20,
            late=lambda: AssertionError("it does not answer"),
            period_s=0.02,
        )
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def answers(host):
    with contextlib.suppress(OSError), socket.create_connection((host, PORT), timeout=1):
        return True
    return False
