"""A load generator in a pod: told what to send over HTTP, asked for the rows over HTTP.

    python -m lab_utils.loadgen.agent

All by way of the API server's pod proxy, which works on every cluster and needs no shell, and loses
nothing as a rotated log would. LAB_TOKEN begins every path but the probe's, so that nobody else in
the cluster may use it. Nothing here imports more than the generator does.

    GET  /ready            the probe's
    GET  /TOKEN/clock      {"unix_s": ...}: this machine's wall clock, now
    POST /TOKEN/plan       a Plan without its schedule; begins a new one
    POST /TOKEN/schedule   a list of times, to be added to it
    POST /TOKEN/start      {"start_unix_s": ...}: answers with the clock that was set
    GET  /TOKEN/rows/N     what is known from row N on, and how far the run is
    POST /TOKEN/stop       cancels what is in flight
    POST /TOKEN/leave      ends the container, with success
"""

import http.server
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from lab_utils.errors import LabError
from lab_utils.loadgen.plan import Plan
from lab_utils.loadgen.process import Generator

PORT = 8090
_LOOK_S = 0.2
MOST_ROWS = 2_000
"""As many rows as one answer has: half a mebibyte or so."""


class Agent:
    """One plan at a time, and the generator that carries it out."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self._plan: Plan | None = None
        self._times: list[float] = []
        self._generator: Generator | None = None

    def clock(self, _: Any) -> dict[str, Any]:
        """Read the wall clock."""
        return {"unix_s": time.time()}

    def plan(self, told: Any) -> dict[str, Any]:
        """Take a plan."""
        self._plan, self._times = Plan.from_json(json.dumps(told)), []
        return {}

    def schedule(self, times: Any) -> dict[str, Any]:
        """Take a part of its schedule."""
        self._times += map(float, times)
        return {}

    def start(self, told: Any) -> dict[str, Any]:
        """Start the generator, to send its first request no sooner than told."""
        if self._plan is None:
            raise LabError("there is no plan")
        plan = replace(self._plan, scheduled_s=tuple(self._times), **told)
        self._generator = Generator(plan).__enter__()
        return asdict(self._generator.start())

    def rows(self, first: int) -> dict[str, Any]:
        """Give rows, and how far the run is."""
        generator = self._require()
        over = generator.wait(0.0)
        counts = {name: getattr(generator, name) for name in ("sent", "ok", "failed", "broke")}
        rows = generator.rows[first : first + MOST_ROWS]
        finished = over and first + len(rows) == len(generator.rows)
        trouble = generator.last_error() if generator.broke else ""
        return counts | {
            "rows": rows,
            "finished": finished,
            "end": generator.end,
            "trouble": trouble,
        }

    def stop(self, _: Any) -> dict[str, Any]:
        """Cancel what is in flight."""
        self._require().stop()
        return {}

    def leave(self, _: Any) -> dict[str, Any]:
        """End."""
        self.left.set()
        return {}

    def _require(self) -> Generator:
        if self._generator is None:
            raise LabError("nothing was started")
        return self._generator

    def close(self) -> None:
        """End the generator, if there is one."""
        if self._generator is not None:
            self._generator.__exit__(None, None, None)


def make_server(agent: Agent, token: str, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """Make the HTTP server of an agent; it does not serve yet."""
    verbs: dict[tuple[str, str], Callable[[Any], dict[str, Any]]] = {
        ("GET", "clock"): agent.clock,
        ("GET", "rows"): agent.rows,
        **{("POST", verb): getattr(agent, verb) for verb in ("plan", "schedule", "start")},
        **{("POST", verb): getattr(agent, verb) for verb in ("stop", "leave")},
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            pass

        def _answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/ready":
                self._answer(200, {})
                return
            _, given, verb, argument = [*self.path.split("/"), "", "", ""][:4]
            act = verbs.get((self.command, verb))
            if given != token or act is None:
                self._answer(404, {"error": "there is nothing here"})
                return
            try:
                self._answer(200, act(json.loads(body) if body else int(argument or 0)))
            except (LabError, ValueError, TypeError) as exc:
                self._answer(400, {"error": str(exc)})

        do_POST = do_GET  # noqa: N815 - the names are http.server's

    return http.server.ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    """Serve until told to leave or to end; process 1 of a container ignores unhandled signals."""
    agent = Agent()
    # Not left.set(): it waits for a lock that this very thread may hold when the signal comes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    server = make_server(agent, os.environ["LAB_TOKEN"], os.environ.get("POD_IP", ""), PORT)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="agent", daemon=True).start()
    try:
        while not agent.left.wait(_LOOK_S):  # a signal that another thread gets wakes nobody here
            pass
    finally:
        agent.close()


if __name__ == "__main__":
    main()
