"""Failover by hand: a small controller that points a Service at the backup when the primary fails.

The oldest style there is: somebody watches, and switches an address over. It shows what each style
without a switch saves. The Service gets its selector back at the end, whatever happens.
"""

import contextlib

from lab_utils.background import Background
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready
from lab_utils.errors import ClusterError, InvalidInput

_LOOK_PERIOD_S = 0.1
_MERGE = "application/merge-patch+json"


class SelectorSwitch(Background):
    """While it lasts, a Service follows the backup as soon as the primary is not Ready.

    It never switches back by itself: a primary that has just started again is cold, and an address
    that flaps is worse than one that is late.

    Args:
        cluster: Where the Service is.
        service: Its name; its selector must choose a role.
        standby: The role to switch to.

    Raises:
        InvalidInput: On entering: the Service chooses no role, or there is no pod to take over.
    """

    def __init__(self, cluster: Cluster, service: str, standby: str = "backup") -> None:
        super().__init__("selector-switch")
        self._cluster, self._service, self._standby = cluster, service, standby
        self._active = ""
        self.switched = False
        """Whether the standby has taken over."""

    def _enter(self) -> None:
        spec = self._cluster.api.read("service", self._cluster.namespace, self._service)["spec"]
        self._active = spec.get("selector", {}).get("role", "")
        if not self._active:
            raise InvalidInput(
                f"Service {self._service} selects no role, so there is nothing to switch: "
                "take inference-primary"
            )
        if not self._is_ready(self._standby):
            raise InvalidInput(
                f"No pod with role={self._standby} is Ready to take over: lab.wait()"
            )

    def _leave(self, *, late: bool) -> None:
        self._point_at(self._active)

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_PERIOD_S):
            with contextlib.suppress(ClusterError):  # the API may be away; look again
                if not self._is_ready(self._active):
                    self._point_at(self._standby)
                    self.switched = True
                    return

    def _is_ready(self, role: str) -> bool:
        return any(is_ready(pod) for pod in self._cluster.pods(f"role={role}"))

    def _point_at(self, role: str) -> None:
        path = self._cluster.api.path_of("service", self._cluster.namespace, self._service)
        body = {"spec": {"selector": {"role": role}}}
        action = f"Pointing Service {self._service} at {role}"
        self._cluster.api.request(action, "PATCH", path, body=body, content_type=_MERGE)
