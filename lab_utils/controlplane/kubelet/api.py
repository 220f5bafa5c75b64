"""The kubelet's own HTTPS API: what the API server asks it for on behalf of clients.

Only the API server may ask. Source: the paths of a real kubelet, and POST /lab/signal for the
lab's faults.
"""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab_utils.controlplane.kubelet.kubelet import Kubelet
from lab_utils.controlplane.kubelet.launch import log_path
from lab_utils.controlplane.kubelet.logs import (
    LogOptions,
    follow_log,
    read_log,
    since_seconds,
    since_time,
)
from lab_utils.controlplane.kubelet.runtime import Runtime
from lab_utils.controlplane.kubelet.slot import Slot
from lab_utils.controlplane.kubelet.stats import Stats
from lab_utils.controlplane.kubelet.worker import PodWorker
from lab_utils.controlplane.status import ApiError, bad_request
from lab_utils.controlplane.timestamps import parse_rfc3339

_SIGNALS = ("KILL", "STOP", "CONT")
_METRICS = "text/plain; version=0.0.4"


def make_kubelet_app(
    kubelet: Kubelet, runtime: Runtime, stats: Stats, token: str
) -> web.Application:
    """Make the kubelet's API; token is what the API server shows."""
    routes = _Routes(kubelet, runtime, stats)
    app = web.Application(middlewares=[_only_for(token), _errors_as_status])
    app.router.add_get("/healthz", routes.healthz)
    app.router.add_get("/pods", routes.pods)
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", routes.container_logs)
    app.router.add_get("/stats/summary", routes.summary)
    app.router.add_get("/metrics/cadvisor", routes.cadvisor)
    app.router.add_get("/metrics/resource", routes.resource)
    app.router.add_post("/lab/signal/{namespace}/{pod}/{container}", routes.signal)
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


class _Routes:
    """One handler per path."""

    def __init__(self, kubelet: Kubelet, runtime: Runtime, stats: Stats) -> None:
        self._kubelet, self._runtime, self._stats = kubelet, runtime, stats

    async def healthz(self, _: web.Request) -> web.Response:
        """Say that the kubelet answers."""
        return web.Response(text="ok")

    async def pods(self, _: web.Request) -> web.Response:
        """List the pods of this node as the kubelet knows them."""
        items = [worker.pod for worker in self._kubelet.workers()]
        listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
        return web.json_response(listed)

    async def summary(self, _: web.Request) -> web.Response:
        """Give what the node and its pods use, as JSON."""
        return web.json_response(self._stats.summary())

    async def cadvisor(self, _: web.Request) -> web.Response:
        """Give what containers use and how they were throttled, for Prometheus."""
        body = self._stats.cadvisor().encode()
        return web.Response(body=body, headers={"Content-Type": _METRICS})

    async def resource(self, _: web.Request) -> web.Response:
        """Give CPU time and memory of node, pods and containers, for Prometheus."""
        body = self._stats.resource().encode()
        return web.Response(body=body, headers={"Content-Type": _METRICS})

    async def signal(self, request: web.Request) -> web.Response:
        """Signal a container: the lab's faults."""
        _, slot = self._find(request)
        name = request.query.get("signal", "")
        if name not in _SIGNALS:
            raise bad_request(f"signal {name!r} is not one of {', '.join(_SIGNALS)}")
        if slot.container is None:
            raise bad_request(f"container {slot.record.name} is not running")
        self._runtime.signal(slot.container, name)
        return web.json_response({"signalled": name})

    async def container_logs(self, request: web.Request) -> web.StreamResponse:
        """Give the log of a container, or follow it."""
        worker, slot = self._find(request)
        record, query = slot.record, request.query
        pod, name = worker.pod["metadata"]["name"], record.name
        wants_previous = query.get("previous") == "true"
        path = log_path(worker.folder, name, record.restart_count - wants_previous)
        if wants_previous and not path.exists():
            raise bad_request(f'previous terminated container "{name}" in pod "{pod}" not found')
        if not path.exists():
            reason = record.state.get("waiting", {}).get("reason", "ContainerCreating")
            raise bad_request(f'container "{name}" in pod "{pod}" is waiting to start: {reason}')
        options = _log_options(request)
        if query.get("follow") != "true" or wants_previous:
            return web.Response(body=read_log(path, options), content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        followed = slot.container

        def has_ended() -> bool:
            return slot.container is None or slot.container is not followed

        async for chunk in follow_log(path, options, has_ended):
            await response.write(chunk)
        return response

    def _find(self, request: web.Request) -> tuple[PodWorker, Slot]:
        match = request.match_info
        namespace, pod, container = match["namespace"], match["pod"], match["container"]
        worker = self._kubelet.find(namespace, pod)
        if worker is None or container not in worker.slots:
            message = f"pod {namespace}/{pod} has no container {container} on this node"
            raise ApiError(404, "NotFound", message)
        return worker, worker.slots[container]


def _log_options(request: web.Request) -> LogOptions:
    query = request.query
    try:
        tail, limit = query.get("tailLines"), query.get("limitBytes")
        since = since_seconds(float(query["sinceSeconds"])) if "sinceSeconds" in query else ""
        if "sinceTime" in query:
            since = since_time(parse_rfc3339(query["sinceTime"]))
        return LogOptions(
            timestamps=query.get("timestamps") == "true",
            tail_lines=None if tail is None else max(int(tail), 0),
            since=since,
            limit_bytes=None if limit is None else int(limit),
        )
    except ValueError as exc:
        raise bad_request(f"invalid log options: {exc}") from exc
