"""The one loop that runs every controller: changes in, decisions, writes out.

Watch, queue, reconcile, execute. Hides the queue, the back-off and the timers. Never decides: what
to do is said by the reconcilers. Nothing runs while nothing changes.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers import (
    deployment,
    disruption,
    endpoints,
    endpointslice,
    garbage,
    hpa,
    job,
    namespace,
    nodelifecycle,
    replicaset,
    scheduler,
    serviceaccount,
    tainteviction,
    ttl,
)
from lab_utils.controlplane.controllers.actions import Requeue
from lab_utils.controlplane.controllers.controller import ANY, Controller
from lab_utils.controlplane.controllers.events import Recorder
from lab_utils.controlplane.controllers.execution import execute
from lab_utils.controlplane.controllers.objects import Key
from lab_utils.controlplane.controllers.world import Measured, World
from lab_utils.controlplane.kinds import STORED
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError
from lab_utils.controlplane.store import Change

CONTROLLERS: tuple[Controller, ...] = (
    serviceaccount.CONTROLLER,
    deployment.CONTROLLER,
    replicaset.CONTROLLER,
    *job.CONTROLLERS,
    ttl.CONTROLLER,
    hpa.CONTROLLER,
    scheduler.CONTROLLER,
    endpointslice.CONTROLLER,
    *endpoints.CONTROLLERS,
    disruption.CONTROLLER,
    nodelifecycle.CONTROLLER,
    tainteviction.CONTROLLER,
    garbage.CONTROLLER,
    namespace.CONTROLLER,
)
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.005, 30.0
_log = logging.getLogger(__name__)
_Item = tuple[int, Key]


class Controllers:
    """All controllers of one cluster, run one item at a time."""

    def __init__(
        self,
        registry: Registry,
        config: ClusterConfig,
        ca: str,
        *,
        controllers: Iterable[Controller] = CONTROLLERS,
        measured: Measured = lambda _namespace, _pod: None,
    ) -> None:
        self._registry, self._controllers = registry, tuple(controllers)
        self._world = World(config, ca=ca, measured=measured)
        self._recorder = Recorder(registry)
        self._queue: dict[_Item, None] = {}
        self._failures: dict[_Item, int] = {}
        self._timers: dict[_Item, asyncio.TimerHandle] = {}
        self._told: set[_Item] = set()
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Take in what there is, follow what comes, and begin to reconcile."""
        for kind in STORED:
            for obj in self._registry.list(kind.name):
                self._take(Change("ADDED", kind.name, obj, None, 0))
        self._unsubscribe = self._registry.store.subscribe(self._take)
        self._task = asyncio.create_task(self._run(), name="controllers")

    async def stop(self) -> None:
        """End the loop; nothing is written afterwards."""
        self._unsubscribe()
        for timer in self._timers.values():
            timer.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _take(self, change: Change) -> None:
        self._world.observe(change)
        own = (change.kind, *change.key)
        for number, controller in enumerate(self._controllers):
            if controller.kind in (change.kind, ANY) and change.type != "DELETED":
                self._enqueue((number, own))
            for kind in (change.kind, ANY):
                if (concerns := controller.concerns.get(kind)) is not None:
                    for key in concerns(change, self._world):
                        self._enqueue((number, key))

    def _enqueue(self, item: _Item) -> None:
        self._queue[item] = None
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                item = next(iter(self._queue))
                del self._queue[item]
                self._process(item)
                await asyncio.sleep(0)  # requests are served between any two items

    def _process(self, item: _Item) -> None:
        """Reconcile one object and carry the actions out, in one step of the event loop."""
        if (timer := self._timers.pop(item, None)) is not None:
            timer.cancel()
        controller, obj = self._controllers[item[0]], self._world.get(*item[1])
        if obj is None:
            self._forget(item)
            return
        try:
            actions = controller.reconcile(obj, self._world, self._registry.clock())
            execute(actions, self._registry, self._recorder, self._world)
        except ApiError as exc:
            _log.debug("%s %s: %s", controller.name, item[1], exc)
            self._retry(item)
        except Exception:
            self._complain(item)
            self._retry(item)
        else:
            self._forget(item)
            waits = [action.after_s for action in actions if isinstance(action, Requeue)]
            if waits:
                self._later(item, min(waits))

    def _forget(self, item: _Item) -> None:
        self._failures.pop(item, None)
        self._told.discard(item)

    def _complain(self, item: _Item) -> None:
        if item not in self._told:
            self._told.add(item)
            _log.exception("%s cannot reconcile %s", self._controllers[item[0]].name, item[1])

    def _retry(self, item: _Item) -> None:
        failures = self._failures[item] = self._failures.get(item, 0) + 1
        self._later(item, min(FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 20), MAX_BACKOFF_S))

    def _later(self, item: _Item, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[item] = loop.call_later(delay_s, partial(self._enqueue, item))
