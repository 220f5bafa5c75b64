"""The kubelet's own HTTPS API: what the API server asks it for on behalf of clients.

Only the API server may ask. Source: the paths of a real kubelet, and POST /lab/signal for the
lab's faults.
"""

import hmac
import signal
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab_utils.controlplane.kubelet.kubelet import Kubelet
from lab_utils.controlplane.kubelet.launch import log_path
from lab_utils.controlplane.kubelet.logs import LogOptions, follow_log, read_log
from lab_utils.controlplane.kubelet.portforward import Target, serve_portforward
from lab_utils.controlplane.kubelet.remotecommand import serve_attach, serve_exec
from lab_utils.controlplane.kubelet.runtime import Container, Runtime
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.kubelet.stats import Stats
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import ApiError, Object, bad_request

_SIGNALS = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP, "CONT": signal.SIGCONT}
_METRICS = "text/plain; version=0.0.4"


def make_kubelet_app(
    kubelet: Kubelet, runtime: Runtime, stats: Stats, token: str
) -> web.Application:
    """Make the kubelet's API; token is what the API server shows."""
    containers = _Containers(kubelet, runtime)
    app = web.Application(middlewares=[_only_for(token), _errors_as_status])
    app.router.add_get("/healthz", _serve(lambda: "ok"))
    app.router.add_get("/stats/summary", _serve(stats.summary))
    app.router.add_get("/metrics/cadvisor", _serve(stats.cadvisor, _METRICS))
    app.router.add_get("/metrics/resource", _serve(stats.resource, _METRICS))
    app.router.add_get("/metrics/probes", _serve(stats.probes, _METRICS))
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", containers.logs)
    for method in ("GET", "POST"):  # a client that asks for SPDY posts
        app.router.add_route(method, "/exec/{namespace}/{pod}/{container}", containers.execute)
        app.router.add_route(method, "/attach/{namespace}/{pod}/{container}", containers.attach)
        app.router.add_route(method, "/portForward/{namespace}/{pod}", containers.forward_ports)
    app.router.add_post("/lab/signal/{namespace}/{pod}/{container}", containers.signal)
    return app


def _only_for(token: str) -> Middleware:
    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return web.Response(status=401, text="Unauthorized")
        return await handler(request)

    return authenticate


@web.middleware
async def _errors_as_status(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as exc:
        return web.json_response(exc.as_status(), status=exc.code)


def _serve(tell: Callable[[], str | Object], media: str = "text/plain") -> Handler:
    """Make a handler of a function that gives a text or an object."""

    async def handle(_: web.Request) -> web.Response:
        told = tell()
        if isinstance(told, dict):
            return web.json_response(told)
        return web.Response(body=told.encode(), headers={"Content-Type": media})

    return handle


class _Containers:
    """What is asked about one container."""

    def __init__(self, kubelet: Kubelet, runtime: Runtime) -> None:
        self._kubelet, self._runtime = kubelet, runtime

    async def signal(self, request: web.Request) -> web.Response:
        """Signal a container: the lab's faults."""
        _, slot = self._find(request)
        name = request.query.get("signal", "")
        if name not in _SIGNALS:
            raise bad_request(f"signal {name!r} is not one of {', '.join(_SIGNALS)}")
        if slot.container is None:
            raise bad_request(f"container {slot.record.name} is not running")
        self._runtime.signal(slot.container, _SIGNALS[name])
        return web.json_response({"signalled": name})

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """Give the log of a container, or follow it."""
        worker, slot = self._find(request)
        record, previous = slot.record, request.query.get("previous") == "true"
        path = log_path(worker.folder, record.name, record.restart_count - previous)
        if not path.exists():
            raise bad_request(_why_no_log(worker, slot, previous=previous))
        options = LogOptions.of(request.query)
        if previous or request.query.get("follow") != "true":
            return web.Response(body=read_log(path, options), content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        followed = slot.container

        def has_ended() -> bool:
            return slot.container is None or slot.container is not followed

        async for chunk in follow_log(path, options, has_ended):
            await response.write(chunk)
        return response

    async def execute(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container."""
        _, container = self._running(request)
        return await serve_exec(request, self._runtime, container)

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """Attach to the output and the input of a container."""
        slot, container = self._running(request)
        stdin_once = slot.record.spec.get("stdinOnce", False)
        return await serve_attach(request, container, stdin_once=stdin_once)

    async def forward_ports(self, request: web.Request) -> web.StreamResponse:
        """Forward connections to a pod."""
        worker = self._pod(request)
        running = (slot.container for slot in worker.slots.values() if slot.container)
        container = next(running, None)
        if container is None:
            name = worker.pod["metadata"]["name"]
            raise web.HTTPInternalServerError(text=f'pod not found ("{name}")')
        return await serve_portforward(request, Target(worker.pod, container.launch.address))

    def _running(self, request: web.Request) -> tuple[Slot, Container]:
        _, slot = self._find(request)
        if slot.container is None:
            why = f'container not found ("{slot.record.name}")'
            raise web.HTTPInternalServerError(text=why)
        return slot, slot.container

    def _pod(self, request: web.Request) -> PodWorker:
        namespace, pod = request.match_info["namespace"], request.match_info["pod"]
        worker = self._kubelet.find(namespace, pod)
        if worker is None:
            raise ApiError(404, "NotFound", f"pod {namespace}/{pod} is not on this node")
        return worker

    def _find(self, request: web.Request) -> tuple[PodWorker, Slot]:
        worker, container = self._pod(request), request.match_info["container"]
        if container not in worker.slots:
            raise ApiError(404, "NotFound", f"the pod has no container {container}")
        return worker, worker.slots[container]


def _why_no_log(worker: PodWorker, slot: Slot, *, previous: bool) -> str:
    where = f'container "{slot.record.name}" in pod "{worker.pod["metadata"]["name"]}"'
    if previous:
        return f"previous terminated {where} not found"
    reason = slot.record.state.get("waiting", {}).get("reason", "ContainerCreating")
    return f"{where} is waiting to start: {reason}"
