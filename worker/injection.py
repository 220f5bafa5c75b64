"""Does to requests what `faults.py` decides: fail, hang, drop, garbage, crash.

An ASGI application around the worker's, so that its routes know nothing of faults. Never installed
unless the control port is on.
"""

import os

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.connection import ABORT
from worker.faults import Faults, Injected
from worker.metrics import Metrics
from worker.wire import error_body

GARBAGE = bytes(range(128, 256))
"""A body that is neither JSON nor UTF-8."""


class Faulty:
    """Serves through faults: every request hangs in a hang, only inferences meet the others."""

    def __init__(self, app: ASGIApp, faults: Faults, metrics: Metrics) -> None:
        self._app, self._faults, self._metrics = app, faults, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        hang = self._faults.active("hang")
        if hang is not None:
            await hang.undone.wait()
        injected = self._faults.next() if _is_inference(scope) else None
        if injected is None or injected.undone.is_set():
            await self._app(scope, receive, send)
        else:
            await self._inject(injected, scope, receive, send)

    async def _inject(self, injected: Injected, scope: Scope, receive: Receive, send: Send) -> None:
        fault = injected.fault
        match fault.kind:
            case "crash":
                os._exit(fault.exit_code)
            case "hang":
                await injected.undone.wait()
                await self._app(scope, receive, send)
            case "drop":
                scope["extensions"][ABORT]["call"]()
                await _read_to_end(receive)
            case "garbage":
                await self._answer(200, GARBAGE, send)
            case _:
                message = f"injected fault: request {injected.seen} fails with {fault.status}"
                body = error_body(scope["path"], fault.status, message, code="injected")
                await self._answer(fault.status, body, send)

    async def _answer(self, status: int, body: bytes, send: Send) -> None:
        self._metrics.count(status)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})


def _is_inference(scope: Scope) -> bool:
    path: str = scope["path"]
    return scope["method"] == "POST" and (path.endswith("/infer") or path.startswith("/v1/"))


async def _read_to_end(receive: Receive) -> None:
    """Wait until the connection is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
