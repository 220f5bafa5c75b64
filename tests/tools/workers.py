"""A worker as a process of its own, and a client that leaves no socket open."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

DEADLINE_S = 30.0
INFER = "/v2/models/clock/infer"
BODY = {"inputs": [{"name": "input", "shape": [1], "datatype": "FP32", "data": [1.0]}]}


@dataclass(frozen=True)
class Answer:
    """A response that was read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a worker."""

    def __init__(self, port: int, timeout_s: float = DEADLINE_S) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def send(self, method: str, path: str, body: Any = None) -> None:
        payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self._connection.request(method, path, payload, {"Content-Type": "application/json"})

    def answer(self) -> Answer:
        with self._connection.getresponse() as response:
            return Answer(response.status, response.headers, response.read())

    def close(self) -> None:
        self._connection.close()


class Worker:
    """A running worker and the ways to talk to it."""

    def __init__(
        self, process: subprocess.Popen[str], port: int, control_port: int | None = None
    ) -> None:
        self.process, self.port, self.control_port = process, port, control_port
        self._clients: list[Client] = []

    def send(self, method: str, path: str, body: Any = None) -> Client:
        """Send a request and leave its answer for later; the connection ends with the test."""
        client = Client(self.port)
        self._clients.append(client)
        client.send(method, path, body)
        return client

    def ask(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = DEADLINE_S
    ) -> Answer:
        with closing(Client(self.port, timeout_s)) as client:
            client.send(method, path, body)
            return client.answer()

    def get(self, path: str) -> tuple[int, Any]:
        answer = self.ask("GET", path)
        return answer.status, answer.json()

    def infer(self, **parameters: Any) -> dict[str, Any]:
        answer = self.ask("POST", INFER, BODY | {"parameters": parameters})
        assert answer.status == 200, answer.body
        return answer.json()

    def metric(self, name: str) -> float:
        text = self.ask("GET", "/metrics").body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, f"no series {name} in\n{text}"
        return float(found[1])

    def control(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask on the control port; a worker has one with WORKER_CONTROL=1."""
        assert self.control_port is not None
        with closing(Client(self.control_port)) as client:
            client.send(method, path, body)
            return client.answer()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "not within the deadline"
            time.sleep(0.01)

    def end(self) -> int:
        """Send SIGTERM and give the exit code."""
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        for client in self._clients:
            client.close()


@contextmanager
def running(**settings: object) -> Iterator[Worker]:
    """Start a worker with the given environment on a free port; it ends with the block."""
    environ = {"PATH": os.environ["PATH"], "WORKER_PORT": "0"}
    environ |= {name: str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "worker"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            control_port = None
            for line in process.stderr:
                if found := re.search(r"Control port on http://[\d.]+:(\d+)", line):
                    control_port = int(found[1])
                if found := re.search(r"running on http://[\d.]+:(\d+)", line):
                    with closing(Worker(process, int(found[1]), control_port)) as worker:
                        yield worker
                    return
            raise AssertionError("the worker ended before it listened")
        finally:
            process.kill()
