"""Puts the parts of a worker together and serves until it is told to end.

The one place that knows every part. Never imported by any of them.
"""

import asyncio
import contextlib
import logging
import os
import sys

import uvicorn
from starlette.types import ASGIApp

from worker.access_log import AccessLog
from worker.app import create_app
from worker.connection import Connection
from worker.device import Accelerator, Device, Processor
from worker.engine import Engine
from worker.faults import Faults
from worker.lifecycle import CloseWhenDraining, GracefulServer, Lifecycle
from worker.metrics import Metrics
from worker.settings import InvalidSettings, Settings
from worker.timeline import Timeline


def run() -> None:
    """Serve with the settings of the environment; return when the last answer was sent."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        settings = Settings.from_env(os.environ)
    except InvalidSettings as exc:
        raise SystemExit(f"{exc} See worker/README.md.") from exc
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: What to be.

    Raises:
        SystemExit: The address cannot be used; uvicorn has logged why.
    """
    loop = asyncio.get_running_loop()
    faults = Faults()
    lifecycle = Lifecycle(faults, settings.on_sigterm)
    timeline = Timeline(loop)
    device = _device(settings, timeline, loop)
    engine = Engine(settings, timeline, device, faults.slowdown, faults.stalled)
    metrics = Metrics(engine, settings, lambda: lifecycle.startup)
    app: ASGIApp = create_app(settings, engine, metrics, lifecycle)
    async with contextlib.AsyncExitStack() as stack:
        if settings.control:  # imported here: a worker without it has no memory to spare for it
            from worker.control_server import controlled

            app = await stack.enter_async_context(
                controlled(app, settings, engine, metrics, faults)
            )
        app = CloseWhenDraining(app, lifecycle)
        if settings.access_log:
            app = AccessLog(app)
        loading = asyncio.create_task(lifecycle.load(settings.load_s))
        await GracefulServer(_config(app, settings), lifecycle).serve()
        loading.cancel()


def _device(settings: Settings, timeline: Timeline, loop: asyncio.AbstractEventLoop) -> Device:
    return Processor(timeline, loop) if settings.mode == "burn" else Accelerator(timeline)


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.address,
        port=settings.port,
        http=Connection,
        loop="asyncio",
        ws="none",
        lifespan="off",  # nothing is acquired that the process's end does not give back
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
    )
