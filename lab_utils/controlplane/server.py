"""The API server as an aiohttp application: the gate in front, the resources behind.

TLS and the port are the business of whoever runs it.
"""

from aiohttp import web

from lab_utils.controlplane.decoding import MAX_BODY_BYTES
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.gate import Gate
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.resources import Resources


def make_app(registry: Registry, tokens: dict[str, str], forward: Forwarder) -> web.Application:
    """Make the application; run it with make_runner().

    Args:
        registry: Where the objects are.
        tokens: Bearer token -> user name; every user may do everything.
        forward: Passes on what kubelets and pods have to answer; closed with the application.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    Gate(tokens).install(app)
    app.router.add_route("*", "/{path:.*}", Resources(registry, forward).handle)

    async def close(_app: web.Application) -> None:
        await forward.close()

    app.on_cleanup.append(close)
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """Make the runner: a handler ends when its client has gone, so that no watch outlives it."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
