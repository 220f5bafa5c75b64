"""The worker's HTTP interface: which route is whose, and what becomes of every other.

Hides FastAPI. Never decides how long anything takes: that is `model.py` and `engine.py`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from worker import description
from worker.engine import Engine
from worker.infer_routes import InferRoutes
from worker.lifecycle import Lifecycle
from worker.metrics import CONTENT_TYPE, Metrics
from worker.protocol import ModelSpec
from worker.serving import Serving, error
from worker.settings import Settings
from worker.text_routes import TextRoutes

Handler = Callable[..., Awaitable[Response]]


class App(FastAPI):
    """FastAPI whose description knows the bodies that the handlers read by themselves."""

    def openapi(self) -> dict[str, Any]:
        """Describe the interface, once somebody asks."""
        from worker.schemas import SCHEMAS

        described = super().openapi()
        described.setdefault("components", {})["schemas"] = SCHEMAS
        return described


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

    async def render() -> Response:
        """Give all metrics in Prometheus' text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    app.add_api_route("/metrics", render, name="metrics", response_class=PlainTextResponse)
    app.add_exception_handler(HTTPException, not_here)
    app.add_exception_handler(Exception, _our_mistake)
    return app


def _add_infer_routes(app: FastAPI, routes: InferRoutes, model: ModelSpec) -> None:
    # Written out: no pattern to match, and /docs shows what is here.
    whole = f"/v2/models/{model.name}"
    for path in (whole, f"{whole}/versions/{model.version}"):
        suffix = "" if path == whole else " of a version"
        _add(app, f"{path}/infer", routes.infer, f"infer{suffix}", description.infer(model), "POST")
        _add(app, path, routes.model, f"model{suffix}", description.answers("ModelMetadata"))
        _add(app, f"{path}/ready", routes.ready, f"model ready{suffix}", description.ready())
        _add(app, f"{path}/config", routes.config, f"config{suffix}", description.anything())
        _add(app, f"{path}/stats", routes.stats, f"stats{suffix}", _STATS)
    _add(app, "/v2/models/stats", routes.stats, "stats of all models", _STATS)
    _add(app, "/v2/health/live", routes.live, "live", description.anything())
    _add(app, "/v2/health/ready", routes.ready, "ready", description.ready())
    _add(app, "/v2", routes.server, "server", description.answers("ServerMetadata"))
    _add(app, "/v2/repository/index", routes.index, "index", description.index(), "POST")
    for verb in ("load", "unload"):
        path = f"/v2/repository/models/{model.name}/{verb}"
        _add(app, path, routes.load, verb, description.refusal(), "POST")


def _add_text_routes(app: FastAPI, routes: TextRoutes, model: ModelSpec) -> None:
    plain, chat = (description.text(model, chat=chat) for chat in (False, True))
    _add(app, "/v1/completions", routes.complete, "complete", plain, "POST")
    _add(app, "/v1/chat/completions", routes.chat, "chat", chat, "POST")
    _add(app, "/v1/models", routes.models, "models", description.answers("Models"))
    _add(app, "/v1/models/{model}", routes.model, "one model", description.one_model())


_STATS = description.answers("Statistics")


def _add(
    app: FastAPI,
    path: str,
    handler: Handler,
    name: str,
    described: dict[str, Any],
    method: str = "GET",
) -> None:
    app.add_api_route(
        path,
        handler,
        name=name,
        methods=[method],
        openapi_extra=described,
        response_model=None,
    )


async def _our_mistake(request: Request, exc: Exception) -> Response:
    """Answer an exception that nobody expected; uvicorn logs it."""
    return error(request, 500, f"internal error: {type(exc).__name__}")
