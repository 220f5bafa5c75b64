"""The API server as an aiohttp application: the gate in front, the resources behind.

Hides authentication and the checks that keep web pages out: nothing behind the gate sees a request
that has not passed. TLS and the port are the business of whoever runs it.
Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from lab_utils.controlplane.answers import refusal
from lab_utils.controlplane.authorization import User
from lab_utils.controlplane.calls import USER
from lab_utils.controlplane.computed import Metrics, nothing_measured
from lab_utils.controlplane.config import API_NAMES
from lab_utils.controlplane.decoding import MAX_BODY_BYTES
from lab_utils.controlplane.discovery import HEALTH
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.resources import Resources
from lab_utils.controlplane.status import ApiError
from lab_utils.controlplane.upgrade import wanted_upgrade
from lab_utils.controlplane.warn import current_warnings, record_warnings

_log = logging.getLogger("apiserver")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    registry: Registry,
    tokens: dict[str, str],
    forward: Forwarder,
    metrics: Metrics = nothing_measured,
) -> web.Application:
    """Make the application; run it with make_runner().

    Args:
        registry: Where the objects are.
        tokens: Bearer token -> user name; every user may do everything.
        forward: Passes on what kubelets and pods have to answer; closed with the application.
        metrics: Measures nodes and pods for metrics.k8s.io.
    """
    gate = _Gate(tokens).pass_through
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[gate])
    app.on_response_prepare.append(_add_headers)
    app.router.add_route("*", "/{path:.*}", Resources(registry, forward, metrics).handle)

    async def close(_app: web.Application) -> None:
        await forward.close()

    app.on_cleanup.append(close)
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """Make the runner: a handler ends when its client has gone, so that no watch outlives it."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)


class _Gate:
    """The one middleware: who gets in, and how every error leaves: as a Status."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._users = [(token.encode(), user) for token, user in tokens.items()]

    @web.middleware
    async def pass_through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        record_warnings()
        try:
            _require_local(request)
            if request.path not in HEALTH:
                self._authenticate(request)
            return await handler(request)
        except ApiError as exc:
            error = exc
        except web.HTTPRequestEntityTooLarge:
            message = f"Request entity too large: limit is {MAX_BODY_BYTES}"
            error = ApiError(413, "RequestEntityTooLarge", message)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception:
            _log.exception("%s %s", request.method, request.path)
            message = "Internal error occurred: see the log of the control plane"
            error = ApiError(500, "InternalError", message)
        return refusal(error, is_head=request.method == "HEAD")

    def _authenticate(self, request: web.Request) -> None:
        """Note who it is; compares with every token, so that time tells nothing."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token.strip().encode()
        known = [user for one, user in self._users if hmac.compare_digest(one, given)]
        if scheme.lower() != "bearer" or not known:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        request[USER] = User.of_request(known[0], request.headers)


def _require_local(request: web.Request) -> None:
    """Refuse what a web page could send: another Host (DNS rebinding), or an Origin.

    A client of WebSockets may name this very server as its Origin, as Python's does unasked.
    """
    host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
    is_own = origin == f"https://{host}" and wanted_upgrade(request.headers) == "websocket"
    if not _is_ours(host) or not (origin is None or is_own):
        raise ApiError(403, "Forbidden", "only local clients may use this server")


def _is_ours(host: str) -> bool:
    name = host if host.endswith("]") else host.rsplit(":", 1)[0]
    if name == "localhost" or name in API_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("Cache-Control", "no-cache, private")
    for text in current_warnings():
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
