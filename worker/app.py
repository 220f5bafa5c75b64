"""The worker's HTTP interface: which route is whose, and what becomes of every other.

Hides FastAPI. Never decides how long anything takes: that is `model.py` and `engine.py`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from worker import description
from worker.engine import Engine
from worker.infer_routes import InferRoutes
from worker.lifecycle import Lifecycle
from worker.metrics import CONTENT_TYPE, Metrics
from worker.protocol import ModelSpec
from worker.serving import Serving, error
from worker.settings import Settings
from worker.text_routes import TextRoutes

Handler = Callable[[Request], Awaitable[Response]]


class App(FastAPI):
    """FastAPI whose handlers read and write bodies by themselves, and are described by hand.

    Its own routes would look for parameters and check answers, of which there are none: a fifth
    of the CPU time of a request.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._told: dict[str, dict[str, Any]] = {}

    def add(
        self, path: str, handler: Handler, name: str, told: dict[str, Any], method: str = "GET"
    ) -> None:
        """Serve a path.

        Args:
            path: What is asked for.
            handler: What answers; its docstring is shown on /docs.
            name: Its name on /docs, unlike any other.
            told: What else is said about it there.
            method: HTTP method.
        """
        self.add_route(path, handler, [method], name, include_in_schema=False)
        operation = {"operationId": name, "summary": name, "description": handler.__doc__, **told}
        self._told[path] = {method.lower(): operation}

    def openapi(self) -> dict[str, Any]:
        """Describe the interface, once somebody asks."""
        from worker.schemas import SCHEMAS

        described = super().openapi()
        return described | {"paths": self._told, "components": {"schemas": SCHEMAS}}


def create_app(
    settings: Settings, engine: Engine, metrics: Metrics, lifecycle: Lifecycle
) -> FastAPI:
    """Make the application of one worker."""
    app = App(
        title="Inference worker",
        version=settings.version,
        description="Open Inference Protocol v2 and OpenAI's API for a model that is a clock.",
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # the lab has its own
    )
    model = ModelSpec.of(settings)
    serving = Serving(settings, engine, metrics, lifecycle)
    _add_infer_routes(app, InferRoutes(model, serving, lifecycle), model)
    _add_text_routes(app, TextRoutes(model, serving), model)

    async def not_here(request: Request, exc: Exception) -> Response:
        """Answer what no route answers in the form of the protocol that the path belongs to."""
        assert isinstance(exc, HTTPException)  # noqa: S101 - what it is registered for
        message = f"{request.method} {request.scope['path']}: {exc.detail}"
        if exc.status_code == 404:
            message += f"; the model here is {model.name!r}, version {model.version!r}"
            message += ", and /docs lists what is here"
        return error(request, exc.status_code, message, exc.headers)

    async def render(_request: Request) -> Response:
        """Give all metrics in Prometheus' text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    app.add("/metrics", render, "metrics", description.text_answer())
    app.add_exception_handler(HTTPException, not_here)
    app.add_exception_handler(Exception, _our_mistake)
    return app


def _add_infer_routes(app: App, routes: InferRoutes, model: ModelSpec) -> None:
    # Written out: no pattern to match, and /docs shows what is here.
    whole = f"/v2/models/{model.name}"
    for path in (whole, f"{whole}/versions/{model.version}"):
        suffix = "" if path == whole else " of a version"
        app.add(f"{path}/infer", routes.infer, f"infer{suffix}", description.infer(model), "POST")
        app.add(path, routes.model, f"model{suffix}", description.answers("ModelMetadata"))
        app.add(f"{path}/ready", routes.ready, f"model ready{suffix}", description.ready())
        app.add(f"{path}/config", routes.config, f"config{suffix}", description.anything())
        app.add(f"{path}/stats", routes.stats, f"stats{suffix}", _STATS)
    app.add("/v2/models/stats", routes.stats, "stats of all models", _STATS)
    app.add("/v2/health/live", routes.live, "live", description.anything())
    app.add("/v2/health/ready", routes.ready, "ready", description.ready())
    app.add("/v2", routes.server, "server", description.answers("ServerMetadata"))
    app.add("/v2/repository/index", routes.index, "index", description.index(), "POST")
    for verb in ("load", "unload"):
        path = f"/v2/repository/models/{model.name}/{verb}"
        app.add(path, routes.load, verb, description.refusal(), "POST")


def _add_text_routes(app: App, routes: TextRoutes, model: ModelSpec) -> None:
    plain, chat = (description.text(model, chat=chat) for chat in (False, True))
    app.add("/v1/completions", routes.complete, "complete", plain, "POST")
    app.add("/v1/chat/completions", routes.chat, "chat", chat, "POST")
    app.add("/v1/models", routes.models, "models", description.answers("Models"))
    app.add("/v1/models/{model}", routes.model, "one model", description.one_model())


_STATS = description.answers("Statistics")


async def _our_mistake(request: Request, exc: Exception) -> Response:
    """Answer an exception that nobody expected; uvicorn logs it."""
    return error(request, 500, f"internal error: {type(exc).__name__}")
