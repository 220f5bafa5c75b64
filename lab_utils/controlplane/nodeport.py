"""The Service proxy: one loopback port per door, one random ready pod per connection.

Plays kube-proxy, on every node's address, and Kind's port mappings, on 127.0.0.1: the choice is
made once per connection (so keep-alive pins a client to a pod), a pod that leaves keeps its
connections, and a node without power answers nothing, not even with a reset. On 127.0.0.1 a
nodePort is served under its own number where that is free. What serves a port of a clusterIP, and
what the names of Services lead to, is written into one file, for the containers of all nodes
(kubelet/container). Hides ports and sockets. TCP only; never looks into a request.
Source: https://kubernetes.io/docs/reference/networking/virtual-ips/
"""

import asyncio
import contextlib
import json
import logging
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab_utils.controlplane.config import ClusterConfig, write_atomically
from lab_utils.controlplane.names import names
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.routes import Backend, Door, Route, routes
from lab_utils.controlplane.splice import Choose, Listener, Splice
from lab_utils.controlplane.store import Change
from lab_utils.errors import PortBusy

MIN_SYNC_PERIOD_S = 1.0
"""kube-proxy's minSyncPeriod: the first change counts at once, what follows once a second."""
_HOST = "127.0.0.1"
_BACKLOG = 1024
_log = logging.getLogger(__name__)


class NodePortProxy:
    """Listens on the nodePorts of all Services, and for the ports of their clusterIPs.

    Args:
        registry: Where the Services and their EndpointSlices are.
        config: Says on which ports of this machine nodePorts are wanted.
        is_down: Tells whether a node has lost power.
        addresses: Those of the nodes by their names, to serve nodePorts on as well.
        table: The file that says what containers find where; None writes none.
        rng: Chooses the pods.
        min_sync_period_s: Shortest time between two looks at the Services.
    """

    def __init__(
        self,
        registry: Registry,
        config: ClusterConfig,
        is_down: Callable[[str], bool],
        *,
        addresses: Mapping[str, str] | None = None,
        table: Path | None = None,
        rng: random.Random | None = None,
        min_sync_period_s: float = MIN_SYNC_PERIOD_S,
    ) -> None:
        self._registry, self._config, self._is_down = registry, config, is_down
        self._min_sync_period_s, self._addresses = min_sync_period_s, addresses or {}
        self._random = rng or random.Random()  # noqa: S311 a choice of pods, not a secret
        self._table, self._written = table, ""
        self._routes: dict[Door, Route] = {}
        self._pins: dict[tuple[Door, str], _Pin] = {}
        self._listeners: dict[Door, list[Listener]] = {}
        self._ports: dict[Door, int] = {}
        self._splices: set[Splice] = set()
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = contextlib.ExitStack()

    @property
    def ports(self) -> dict[int, int]:
        """Tell which port of this machine serves each nodePort."""
        return {door: port for door, port in self._ports.items() if isinstance(door, int)}

    @property
    def open_connections(self) -> int:
        """Tell how many connections are open."""
        return len(self._splices)

    async def start(self) -> None:
        """Open the port mappings of the settings, then follow the Services.

        Raises:
            PortBusy: A port that the settings demand is taken.
        """
        for node_port, wanted in self._config.host_ports.items():
            self._listen(node_port, wanted, demanded=bool(wanted))
        self._stopping.callback(self._registry.store.subscribe(self._note))
        self._dirty.set()
        self._task = asyncio.create_task(self._follow(), name="service-proxy")
        self._stopping.callback(self._task.cancel)

    async def close(self) -> None:
        """Close every port and every connection; doing it twice does nothing more."""
        self._stopping.close()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        for door in list(self._listeners):
            self._unlisten(door)
        for splice in list(self._splices):
            splice.abort()

    def _note(self, change: Change) -> None:
        if change.kind in ("Service", "EndpointSlice"):
            self._dirty.set()

    async def _follow(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                self._sync()
            except Exception:  # as a controller's: told, and tried again with the next change
                _log.exception("cannot bring the ports of Services up to date")
            await asyncio.sleep(self._min_sync_period_s)

    def _sync(self) -> None:
        services, slices = self._registry.list("Service"), self._registry.list("EndpointSlice")
        self._routes = routes(services, slices)
        now = time.monotonic()
        self._pins = {key: pin for key, pin in self._pins.items() if pin.until > now}
        wanted = self._routes.keys() | self._config.host_ports.keys()
        for door in self._listeners.keys() - wanted:
            self._unlisten(door)
        for door in wanted - self._listeners.keys():
            self._listen(door, door if isinstance(door, int) else 0, demanded=False)
        self._publish(names(services, slices))

    def _publish(self, found: dict[str, list[str]]) -> None:
        """Write what names lead to and where clusterIPs' ports are; 0: nobody is there."""
        doors = {
            door: self._ports[door] if route.backends else 0
            for door, route in self._routes.items()
            if isinstance(door, str)
        }
        text = json.dumps({"names": found, "doors": doors}, sort_keys=True)
        if self._table is not None and text != self._written:
            write_atomically(self._table, text)
            self._written = text

    def _listen(self, door: Door, wanted: int, *, demanded: bool) -> None:
        """Listen on the wanted port of loopback; if it is taken, on a free one."""
        bound = _bind(_HOST, wanted) or (None if demanded else _bind(_HOST, 0))
        if bound is None:
            raise PortBusy(
                f"Opening port {wanted} of 127.0.0.1 for nodePort {door}: another program has "
                "it. Stop that program, or choose another port (0 takes any free one)."
            )
        self._ports[door] = bound.getsockname()[1]
        self._serve(door, bound, partial(self._choose, door))
        for node, address in self._addresses.items() if isinstance(door, int) else ():
            if (bound := _bind(address, int(door))) is not None:
                self._serve(door, bound, partial(self._choose_at, node, door))

    def _serve(self, door: Door, bound: socket.socket, choose: Choose) -> None:
        listener = Listener(bound, choose, self._is_down, self._splices)
        self._listeners.setdefault(door, []).append(listener)

    def _unlisten(self, door: Door) -> None:
        for listener in self._listeners.pop(door):
            listener.close()
        del self._ports[door]

    def _choose_at(self, node: str, door: Door, client: str) -> Backend | None:
        """Choose as a node does; one without power chooses itself and so answers nobody."""
        if self._is_down(node):
            return Backend(self._addresses[node], 0, node)
        return self._choose(door, client)

    def _choose(self, door: Door, client: str) -> Backend | None:
        """Choose the pod of a new connection; None: nobody is there to answer."""
        route = self._routes.get(door)
        if route is None or not route.backends:
            return None
        if not route.affinity_s:
            return self._random.choice(route.backends)
        now, key = time.monotonic(), (door, client)
        pin = self._pins.get(key)
        if pin is None or pin.until < now or pin.backend not in route.backends:
            pin = _Pin(self._random.choice(route.backends), now)
        self._pins[key] = _Pin(pin.backend, now + route.affinity_s)
        return pin.backend


@dataclass(frozen=True)
class _Pin:
    backend: Backend
    until: float


def _bind(host: str, port: int) -> socket.socket | None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError):
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        return listener
    listener.close()
    return None
