"""Serves the control port beside the serving port, in the same event loop.

Hides the second server. Imported only where WORKER_CONTROL=1.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from worker.control import create_control
from worker.engine import Engine
from worker.faults import Faults
from worker.injection import Faulty
from worker.leak import leak
from worker.metrics import Metrics
from worker.settings import Settings


class _ControlServer(uvicorn.Server):
    """uvicorn without a hand on the signals: they belong to the serving port."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def controlled(
    app: ASGIApp, settings: Settings, engine: Engine, metrics: Metrics, faults: Faults
) -> AsyncIterator[ASGIApp]:
    """Serve the control port for as long as the block lasts, the drain of the worker included.

    Returns:
        The worker's application with faults around it.

    Raises:
        SystemExit: The control port cannot be used.
    """
    listener = _listen(settings)
    logging.info("Control port on http://%s:%d", *listener.getsockname()[:2])
    control = create_control(settings, engine, faults)
    server = _ControlServer(
        uvicorn.Config(
            control, http="httptools", loop="asyncio", ws="none", lifespan="off", log_config=None
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    leaking = asyncio.create_task(leak(faults))
    try:
        yield Faulty(app, faults, metrics)
    finally:
        leaking.cancel()
        server.should_exit = True
        await serving


def _listen(settings: Settings) -> socket.socket:
    address = (settings.address, settings.control_port)
    try:
        return socket.create_server(address)
    except OSError as exc:
        raise SystemExit(f"Cannot open the control port on {address}: {exc.strerror}.") from exc
