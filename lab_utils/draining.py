"""A node emptied as `kubectl drain` does it: cordoned, its pods evicted, again if need be.

Never deletes a pod: what a PodDisruptionBudget forbids waits until the budget allows it, be it for
ever.
"""

from contextlib import suppress

from lab_utils.background import Background
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_terminating
from lab_utils.errors import LabError, NotFound

RETRY_S = 1.0
"""From one attempt to the next. kubectl waits 5 s, which a run of some seconds cannot."""


class Drain(Background):
    """Drains a node while its context lasts, and gives it back to the scheduler at the end.

    Args:
        cluster: Where the node is; of its pods those of the lab's namespace go.
        node: Which.
    """

    def __init__(self, cluster: Cluster, node: str) -> None:
        super().__init__("drain")
        self._cluster, self._node = cluster, node
        self._cordoned = False
        self._error: LabError | None = None

    def _enter(self) -> None:
        self._cordoned = self._cluster.cordon(self._node)

    def _run(self) -> None:
        try:
            while self._evict() and not self._stopped.wait(RETRY_S):
                if not self._cluster.is_cordoned(self._node):
                    return  # somebody has taken the node back
        except LabError as exc:
            self._error = exc

    def _evict(self) -> bool:
        """Ask for every pod's eviction; False if there is none left to ask for."""
        here = [
            pod["metadata"]["name"]
            for pod in self._cluster.pods()
            if pod["spec"].get("nodeName") == self._node and not is_terminating(pod)
        ]
        for pod in here:
            with suppress(NotFound):  # it has left by itself meanwhile
                self._cluster.evict(pod)
        return bool(here)

    def _leave(self, *, late: bool) -> None:
        if self._cordoned:  # by this drain: what somebody else has cordoned stays theirs
            self._cluster.uncordon(self._node)
        if self._error is not None:
            raise self._error
