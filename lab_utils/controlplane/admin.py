"""The lab's own routes beside the Kubernetes API, and the watch over idleness.

`POST /lab/nodes/NODE/stop|start|pause|unpause` is the power switch that Docker is for Kind;
`GET /lab/ports` tells which loopback port serves a nodePort. Same token, same TLS.
"""

import asyncio
import contextlib
import time

from aiohttp import web

from lab_utils.controlplane.nodeport import NodePortProxy
from lab_utils.controlplane.supervisor import Supervisor

_KUBELET = "kubelet"


class Activity:
    """Remembers when a person or a program last used the API; kubelets do not count."""

    def __init__(self, app: web.Application) -> None:
        self._last = time.monotonic()
        app.on_response_prepare.append(self._note)

    async def _note(self, request: web.Request, _response: web.StreamResponse) -> None:
        if not request.headers.get("User-Agent", "").startswith(_KUBELET):
            self._last = time.monotonic()

    async def idle_or(self, stop: asyncio.Event, limit_s: float) -> None:
        """Return when stop is set, or after limit_s seconds without a request."""
        while (left_s := self._last + limit_s - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), left_s)
                return


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
