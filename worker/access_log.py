"""One line of JSON per request on standard output, for whoever asks for it.

Never on by default: under a pod's CPU limit a line costs as much as a tenth of a request.
"""

import json
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AccessLog:
    """Writes a line when a request has ended, however it ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        status: int | None = None
        size_bytes = 0
        started_s = time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status, size_bytes
            status = message.get("status", status)
            size_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            line = {
                "time": round(time.time(), 3),
                "client": (scope["client"] or ("",))[0],
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "bytes": size_bytes,
                "duration_s": round(time.perf_counter() - started_s, 6),
            }
            print(json.dumps(line, separators=(",", ":")), flush=True)
