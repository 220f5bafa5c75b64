"""What the routes of both protocols share: read a body, wait for its job, refuse in due form.

Hides the client that goes away, the metrics and the form of an error. Never knows what a body
means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from worker.engine import Engine
from worker.jobs import Abandoned, DeadlineExceeded, Job, Overloaded, Times, Work
from worker.lifecycle import Lifecycle
from worker.metrics import Metrics
from worker.protocol import Wishes
from worker.repository import Statistics
from worker.settings import Settings
from worker.wire import MAX_BODY_BYTES, BadRequest, error_body, speaks_openai, too_long, unpack

CLIENT_GONE = 499
"""nginx's status for it; nobody reads the answer, but the metrics count it."""

_T = TypeVar("_T")


class NotLoaded(Exception):
    """The model is not there yet."""


class Serving:
    """The way of one request through a worker, whatever its protocol.

    Attributes:
        statistics: Sums over all requests.
    """

    def __init__(
        self, settings: Settings, engine: Engine, metrics: Metrics, lifecycle: Lifecycle
    ) -> None:
        self.statistics = Statistics()
        self._engine = engine
        self._notices_gone = settings.notice_gone
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._clock = asyncio.get_running_loop()
        self._myself = {
            "pod": settings.pod_name,
            "node": settings.node_name,
            "role": settings.role,
        }

    async def answered(
        self, request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer a request, or refuse it in the form of its protocol; count it either way."""
        arrived_s = self._clock.time()
        try:
            if not self._lifecycle.loaded:
                raise NotLoaded("The model is loading.")
            response = await answer(request)
        except BadRequest as exc:
            response = refuse(request, exc)
        except (Overloaded, DeadlineExceeded, NotLoaded) as exc:
            self.statistics.failed(self._clock.time() - arrived_s)
            response = refuse(request, exc)
        except (Abandoned, ClientDisconnect):
            self.statistics.failed(self._clock.time() - arrived_s)
            response = Response(status_code=CLIENT_GONE)
        self._metrics.count(response.status_code)
        return response

    async def checked(
        self, request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer a request that is not for the model, or refuse it in the form of its protocol."""
        try:
            return await answer(request)
        except BadRequest as exc:
            return refuse(request, exc)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)

    async def read(self, request: Request) -> bytes:
        """Read and unpack a body, but not more of it than a worker can hold.

        Raises:
            BadRequest: It is too long or not encoded as it says.
            ClientDisconnect: The client went away in the middle of it.
        """
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise too_long()
        return unpack(body, request.headers.get("content-encoding", ""))

    def submit(self, wishes: Wishes, prompt_tokens: int = 0, output_tokens: int = 0) -> Job:
        """Hand a request to the clock.

        Raises:
            Overloaded: No place is free.
        """
        return self._engine.submit(
            Work(wishes.index, wishes.service_s, prompt_tokens, output_tokens)
        )

    async def watched(self, request: Request, job: Job, waiting: Awaitable[_T]) -> _T:
        """Wait for something of a job; give the job up if its client goes away meanwhile.

        Raises:
            Abandoned: The client has gone.
            DeadlineExceeded: It waited too long and was dropped.
        """
        unstoppable = self._engine.waiting == 0 and not job.work.output_tokens
        if unstoppable or not self._notices_gone:
            return await waiting  # not worth a task
        watch = asyncio.create_task(self._abandon_when_gone(request, job))
        try:
            return await waiting
        finally:
            watch.cancel()

    def give_up(self, job: Job) -> None:
        """Stop a job whose answer nobody wants; nothing happens if it has ended."""
        self._engine.abandon(job)

    def served(self, job: Job, times: Times) -> None:
        """Account for a job that was served."""
        total_s = self._clock.time() - job.arrived_s
        self._metrics.observe(times, total_s)
        self.statistics.succeeded(times, total_s)

    def parameters(self, times: Times, attempt: int) -> dict[str, Any]:
        """Tell who answers and what it took."""
        return {
            **self._myself,
            "queue_s": round(times.queue_s, 6),
            "service_s": round(times.service_s, 6),
            "batch_size": times.batch_size,
            "attempt": attempt,
        }

    async def _abandon_when_gone(self, request: Request, job: Job) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._engine.abandon(job)


def respond(
    body: bytes,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """Make a response of a body that is written already."""
    return Response(body, status_code, headers, media_type)


def server_timing(times: Times) -> dict[str, str]:
    """Tell what it took in the header that browsers draw: https://www.w3.org/TR/server-timing/."""
    queue_ms, service_ms = times.queue_s * 1000, times.service_s * 1000
    return {"Server-Timing": f"queue;dur={queue_ms:.3f}, service;dur={service_ms:.3f}"}


def refuse(request: Request, exc: Exception) -> Response:
    """Answer an exception that says why a request is not served."""
    if isinstance(exc, BadRequest):
        return error(request, exc.status, str(exc), param=exc.param, code=exc.code)
    if isinstance(exc, Overloaded):
        headers = {"Retry-After": str(exc.retry_after_s)}
        status = 429 if speaks_openai(request.scope["path"]) else 503
        return error(request, status, str(exc), headers, code="rate_limit_exceeded")
    if isinstance(exc, DeadlineExceeded):
        return error(request, 504, str(exc), code="deadline_exceeded")
    return error(request, 503, str(exc), {"Retry-After": "1"}, code="model_loading")


def error(
    request: Request,
    status: int,
    message: str,
    headers: Mapping[str, str] | None = None,
    *,
    param: str | None = None,
    code: str | None = None,
) -> Response:
    """Write an error in the form of the protocol that the request speaks."""
    body = error_body(request.scope["path"], status, message, param=param, code=code)
    return respond(body, status, headers)
