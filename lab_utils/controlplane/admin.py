"""The lab's own routes beside the Kubernetes API, and the watch over idleness.

`POST /lab/nodes/NODE/stop|start|pause|unpause` is the power switch that Docker is for Kind;
`GET /lab/ports` tells which loopback port serves a nodePort. Same token, same TLS.
"""

import asyncio
import contextlib
import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab_utils.controlplane.nodeport import NodePortProxy
from lab_utils.controlplane.supervisor import Supervisor

_KUBELET = "kubelet"


class Activity:
    """Remembers when a person or a program last used the API; kubelets do not count.

    A request is use for as long as it lasts: somebody follows a watch or a log.
    """

    def __init__(self, app: web.Application) -> None:
        self._last, self._open = time.monotonic(), 0
        app.middlewares.append(self._middleware())

    def _middleware(self) -> Middleware:
        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.headers.get("User-Agent", "").startswith(_KUBELET):
                return await handler(request)
            self._open += 1
            try:
                return await handler(request)
            finally:
                self._open -= 1
                self._last = time.monotonic()

        return note

    async def idle_or(self, stop: asyncio.Event, limit_s: float) -> None:
        """Return when stop is set, or after limit_s seconds in which there was no request."""
        while (left_s := self._left_s(limit_s)) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), left_s)
                return

    def _left_s(self, limit_s: float) -> float:
        return limit_s if self._open else self._last + limit_s - time.monotonic()


def add_admin_routes(app: web.Application, supervisor: Supervisor, proxy: NodePortProxy) -> None:
    """Add the lab's own routes; authentication is the application's."""

    async def operate(request: web.Request) -> web.Response:
        supervisor.operate(request.match_info["node"], request.match_info["operation"])
        return web.json_response(supervisor.state())

    async def nodes(_request: web.Request) -> web.Response:
        return web.json_response(supervisor.state())

    async def ports(_request: web.Request) -> web.Response:
        return web.json_response(proxy.ports)

    app.router.add_post("/lab/nodes/{node}/{operation}", operate)
    app.router.add_get("/lab/nodes", nodes)
    app.router.add_get("/lab/ports", ports)
