"""The worker's HTTP interface: routes, and what each answers.

Hides FastAPI. Never decides how long anything takes: that is `model.py`, `device.py`, `engine.py`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

from worker import protocol
from worker.engine import Engine
from worker.jobs import Abandoned, DeadlineExceeded, Job, Overloaded, Times, Work
from worker.lifecycle import Lifecycle
from worker.metrics import CONTENT_TYPE, Metrics
from worker.model import predict
from worker.settings import Settings

MAX_BODY_BYTES = 64 * 1024
"""Longer bodies are refused: read into numbers they are 16 times as large, and a pod has 64 MiB."""

_SCHEMAS = "#/components/schemas/"
_CLIENT_GONE = 499
"""nginx's status for it; nobody reads the answer, but the metrics count it."""


class App(FastAPI):
    """FastAPI whose description knows the infer body, which the handler reads by itself."""

    def openapi(self) -> dict[str, Any]:
        """Describe the interface, once somebody asks."""
        description = super().openapi()
        _, schemas = models_json_schema(
            [(protocol.InferRequest, "validation")], ref_template=_SCHEMAS + "{model}"
        )
        description.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return description


class Routes:
    """The handlers of one worker."""

    def __init__(
        self, settings: Settings, engine: Engine, metrics: Metrics, lifecycle: Lifecycle
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._myself = {
            "pod": settings.pod_name,
            "node": settings.node_name,
            "role": settings.role,
        }

    async def live(self) -> Response:
        """Tell that the process answers. True from the start, before the model is loaded."""
        return _json(protocol.encode({"live": True}))

    async def ready(self) -> Response:
        """Tell whether to send requests here: the model is loaded and the end is not near."""
        ready = self._lifecycle.ready
        return _json(protocol.encode({"ready": ready}), 200 if ready else 503)

    async def server(self) -> Response:
        """Name the server."""
        return _json(protocol.server_metadata(self._settings.version))

    async def model(self) -> Response:
        """Name the model's inputs and outputs."""
        return _json(protocol.model_metadata(self._settings.model, self._settings.version))

    async def metrics(self) -> Response:
        """Give all metrics in Prometheus' text format."""
        return Response(self._metrics.render(), media_type=CONTENT_TYPE)

    async def infer(self, request: Request) -> Response:
        """Wait for a slot, take the service time, answer with the inputs."""
        try:
            response = await self._infer(request)
        except HTTPException as exc:
            self._metrics.count(exc.status_code)
            raise
        self._metrics.count(response.status_code)
        return response

    async def _infer(self, request: Request) -> Response:
        if not self._lifecycle.loaded:
            raise HTTPException(503, "The model is loading.", {"Retry-After": "1"})
        try:
            wanted = protocol.decode(await _read(request))
            job = self._engine.submit(_work(wanted.parameters))
        except protocol.BadRequest as exc:
            raise HTTPException(400, str(exc)) from exc
        except Overloaded as exc:
            headers = {"Retry-After": str(exc.retry_after_s)}
            raise HTTPException(503, str(exc), headers) from exc
        except ClientDisconnect:  # in the middle of its body
            return Response(status_code=_CLIENT_GONE)
        try:
            times = await self._served(job, request)
        except Abandoned:
            return Response(status_code=_CLIENT_GONE)
        except DeadlineExceeded as exc:
            raise HTTPException(504, str(exc)) from exc
        self._metrics.observe(times, asyncio.get_running_loop().time() - job.arrived_s)
        return self._answer(wanted, times)

    async def _served(self, job: Job, request: Request) -> Times:
        """Wait for the job's end; give it up if its client goes away while it waits for a slot."""
        if self._engine.waiting == 0:  # in service at once: watching the client is not worth a task
            return await job.done()
        watch = asyncio.create_task(self._abandon_when_gone(job, request))
        try:
            return await job.done()
        finally:
            watch.cancel()

    async def _abandon_when_gone(self, job: Job, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._engine.abandon(job)

    def _answer(self, wanted: protocol.InferRequest, times: Times) -> Response:
        parameters = {
            **self._myself,
            "queue_s": round(times.queue_s, 6),
            "service_s": round(times.service_s, 6),
            "batch_size": times.batch_size,
            "attempt": wanted.parameters.attempt,
        }
        body = protocol.answer(
            wanted,
            predict(wanted.inputs[0].data),
            model=self._settings.model,
            version=self._settings.version,
            parameters=parameters,
        )
        timing = f"queue;dur={times.queue_s * 1000:.3f}, service;dur={times.service_s * 1000:.3f}"
        return _json(body, headers={"Server-Timing": timing})


def create_app(
    settings: Settings, engine: Engine, metrics: Metrics, lifecycle: Lifecycle
) -> FastAPI:
    """Make the application of one worker."""
    app = App(
        title="Inference worker",
        version=settings.version,
        description="Open Inference Protocol v2 for a model that is a clock.",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    routes = Routes(settings, engine, metrics, lifecycle)
    model = f"/v2/models/{settings.model}"  # written out: no pattern to match, and /docs shows it
    app.post(f"{model}/infer", openapi_extra=_INFER_BODY)(routes.infer)
    app.get("/v2/health/live")(routes.live)
    app.get("/v2/health/ready")(routes.ready)
    app.get("/v2")(routes.server)
    app.get(model)(routes.model)
    app.get(f"{model}/ready", name="model ready")(routes.ready)
    app.get("/metrics")(routes.metrics)
    app.add_exception_handler(AnyHTTPException, _error)
    app.add_exception_handler(Exception, _error)
    return app


_INFER_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": _SCHEMAS + "InferRequest"},
                "example": protocol.EXAMPLE,
            }
        },
    }
}


def _work(parameters: protocol.InferParameters) -> Work:
    service_ms = parameters.service_ms
    return Work(parameters.index, None if service_ms is None else service_ms / 1000)


async def _read(request: Request) -> bytes:
    """Read a body, but not more of it than a worker can hold."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"body: wanted at most {MAX_BODY_BYTES} bytes")
    return body


def _json(
    body: bytes, status_code: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(body, status_code, headers, media_type="application/json")


async def _error(request: Request, exc: Exception) -> Response:
    """Answer any error in the protocol's form; uvicorn logs the ones that are our mistake."""
    if isinstance(exc, AnyHTTPException):
        hint = "; /docs lists what is here" if exc.status_code == 404 else ""
        message = f"{request.method} {request.scope['path']}: {exc.detail}{hint}"
        return _json(protocol.error(message), exc.status_code, exc.headers)
    return _json(protocol.error(f"internal error: {type(exc).__name__}"), 500)
