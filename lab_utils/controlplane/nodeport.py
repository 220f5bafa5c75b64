"""The Service proxy: one loopback port per nodePort, one random ready pod per connection.

Plays kube-proxy and Kind's port mappings: the choice is made once per connection (so keep-alive
pins a client to a pod), a pod that leaves keeps its connections, and a node without power answers
nothing, not even with a reset. Hides ports and sockets. TCP only; never looks into a request.
Source: https://kubernetes.io/docs/reference/networking/virtual-ips/
"""

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.relay import Relay
from lab_utils.controlplane.routes import Backend, Route, routes
from lab_utils.controlplane.store import Change
from lab_utils.errors import PortBusy

MIN_SYNC_PERIOD_S = 1.0
"""kube-proxy's minSyncPeriod: the first change counts at once, what follows once a second."""
_HOST = "127.0.0.1"
_BACKLOG = 1024
_log = logging.getLogger(__name__)


class NodePortProxy:
    """Listens on the nodePorts of all Services."""

    def __init__(
        self,
        registry: Registry,
        config: ClusterConfig,
        is_down: Callable[[str], bool],
        *,
        rng: random.Random | None = None,
        min_sync_period_s: float = MIN_SYNC_PERIOD_S,
    ) -> None:
        self._registry, self._config, self._is_down = registry, config, is_down
        self._min_sync_period_s = min_sync_period_s
        self._random = rng or random.Random()  # noqa: S311 a choice of pods, not a secret
        self._routes: dict[int, Route] = {}
        self._pins: dict[tuple[int, str], _Pin] = {}
        self._listeners: dict[int, asyncio.Server] = {}
        self._relays: set[Relay] = set()
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = contextlib.ExitStack()
        self.ports: dict[int, int] = {}

    @property
    def open_connections(self) -> int:
        """Tell how many connections are open."""
        return len(self._relays)

    async def start(self) -> None:
        """Open the port mappings of the settings, then follow the Services.

        Raises:
            PortBusy: A port that the settings demand is taken.
        """
        for node_port, wanted in self._config.host_ports.items():
            await self._listen(node_port, wanted, demanded=bool(wanted))
        self._stopping.callback(self._registry.store.subscribe(self._note))
        self._dirty.set()
        self._task = asyncio.create_task(self._follow(), name="service-proxy")
        self._stopping.callback(self._task.cancel)

    async def close(self) -> None:
        """Close every port and every connection; doing it twice does nothing more."""
        self._stopping.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        for node_port in list(self._listeners):
            self._unlisten(node_port)
        for relay in list(self._relays):
            relay.abort()

    def _note(self, change: Change) -> None:
        if change.kind in ("Service", "EndpointSlice"):
            self._dirty.set()

    async def _follow(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._sync()
            except Exception:  # as a controller's: told, and tried again with the next change
                _log.exception("cannot bring the nodePorts up to date")
            await asyncio.sleep(self._min_sync_period_s)

    async def _sync(self) -> None:
        services, slices = self._registry.list("Service"), self._registry.list("EndpointSlice")
        self._routes = routes(services, slices)
        now = time.monotonic()
        self._pins = {key: pin for key, pin in self._pins.items() if pin.until > now}
        wanted = self._routes.keys() | self._config.host_ports.keys()
        for node_port in self._listeners.keys() - wanted:
            self._unlisten(node_port)
        for node_port in wanted - self._listeners.keys():
            await self._listen(node_port, node_port, demanded=False)

    async def _listen(self, node_port: int, wanted: int, *, demanded: bool) -> None:
        """Listen on the wanted port of loopback; if it is taken, on a free one."""
        bound = _bind(wanted) or (None if demanded else _bind(0))
        if bound is None:
            raise PortBusy(
                f"Opening port {wanted} of 127.0.0.1 for nodePort {node_port}: another program has "
                "it. Stop that program, or choose another port (0 takes any free one)."
            )
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Relay(partial(self._choose, node_port), self._is_down, self._relays),
            sock=bound,
            backlog=_BACKLOG,
        )
        self._listeners[node_port] = server
        self.ports[node_port] = bound.getsockname()[1]

    def _unlisten(self, node_port: int) -> None:
        self._listeners.pop(node_port).close()
        del self.ports[node_port]

    def _choose(self, node_port: int, client: str) -> Backend | None:
        """Choose the pod of a new connection; None: nobody is there to answer."""
        route = self._routes.get(node_port)
        if route is None or not route.backends:
            return None
        if not route.affinity_s:
            return self._random.choice(route.backends)
        now, key = time.monotonic(), (node_port, client)
        pin = self._pins.get(key)
        if pin is None or pin.until < now or pin.backend not in route.backends:
            pin = _Pin(self._random.choice(route.backends), now)
        self._pins[key] = _Pin(pin.backend, now + route.affinity_s)
        return pin.backend


@dataclass(frozen=True)
class _Pin:
    backend: Backend
    until: float


def _bind(port: int) -> socket.socket | None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):
        listener.bind((_HOST, port))
        listener.listen(_BACKLOG)
        return listener
    listener.close()
    return None
