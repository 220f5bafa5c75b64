"""Failover from outside the request: somebody notices, and points a Service at the backup.

Two styles: a switch that watches the primary, and an election in which a Lease says who leads.
Either way the Service gets its selector back at the end, whatever happens.
"""

import contextlib
from types import TracebackType
from typing import Self

from lab_utils.background import Background
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready
from lab_utils.errors import ClusterError, InvalidInput, NotReady
from lab_utils.lease import Candidate, Pace
from lab_utils.waiting import wait_for

ROLES = ("primary", "backup")
_LOOK_PERIOD_S = 0.1
_MERGE = "application/merge-patch+json"
_LEASE = "inference-leader"
_PORT = 8000
_ELECTED_WITHIN_S = 15.0


class Address:
    """A Service whose selector chooses a role: the address that is switched over."""

    def __init__(self, cluster: Cluster, service: str) -> None:
        self._cluster, self._service = cluster, service

    def read(self) -> str:
        """Give the role that the Service chooses.

        Raises:
            InvalidInput: It chooses none.
        """
        found = self._cluster.api.read("service", self._cluster.namespace, self._service)
        role = str((found["spec"].get("selector") or {}).get("role", ""))
        if not role:
            raise InvalidInput(
                f"Service {self._service} selects no role, so there is nothing to switch: "
                "take inference-primary"
            )
        return role

    def point_at(self, role: str) -> None:
        """Have the Service choose another role."""
        path = self._cluster.api.path_of("service", self._cluster.namespace, self._service)
        body = {"spec": {"selector": {"role": role}}}
        action = f"Pointing Service {self._service} at {role}"
        self._cluster.api.request(action, "PATCH", path, body=body, content_type=_MERGE)


class SelectorSwitch(Background):
    """While it lasts, a Service follows the backup as soon as the primary is not Ready.

    It never switches back by itself: a primary that has just started again is cold, and an address
    that flaps is worse than one that is late.

    Args:
        cluster: Where the Service is.
        service: Its name; its selector must choose a role.
        standby: The role to switch to.
        cold: Whether the standby does not run before: its Deployment, scaled to nothing on
            entering, is scaled up when the primary fails, and the Service follows once it is Ready.

    Raises:
        InvalidInput: On entering: the Service chooses no role, or there is no pod to take over.
    """

    def __init__(
        self, cluster: Cluster, service: str, standby: str = "backup", *, cold: bool = False
    ) -> None:
        super().__init__("selector-switch")
        self._cluster, self._standby, self._cold = cluster, standby, cold
        self._address = Address(cluster, service)
        self._active = ""
        self.switched = False
        """Whether the standby has taken over."""

    def _enter(self) -> None:
        self._active = self._address.read()
        if self._cold:
            self._scale(0)
        else:
            _require_ready(self._cluster, self._standby)

    def _leave(self, *, late: bool) -> None:
        self._address.point_at(self._active)
        if self._cold:
            self._scale(1)

    def _scale(self, replicas: int) -> None:
        self._cluster.scale(f"inference-{self._standby}", replicas)

    def _run(self) -> None:
        started = not self._cold
        while not self._stopped.wait(_LOOK_PERIOD_S):
            with contextlib.suppress(ClusterError):  # the API may be away; look again
                if _has_ready(self._cluster, self._active):
                    continue
                if not started:
                    self._scale(1)
                    started = True
                if _has_ready(self._cluster, self._standby):
                    self._address.point_at(self._standby)
                    self.switched = True
                    return


class Election:
    """While it lasts, a Service follows whoever holds a Lease: see `lab_utils.lease`.

    Args:
        cluster: Where the Service is.
        service: Its name; its selector must choose a role, which leads at first.
        pace: How patient the candidates are.

    Attributes:
        leaders: The roles that have led, in order.

    Raises:
        InvalidInput: On entering: the Service chooses no role, or a role has no Ready pod.
        NotReady: On entering: nobody was elected.
    """

    def __init__(self, cluster: Cluster, service: str, pace: Pace | None = None) -> None:
        self._cluster, self._pace = cluster, pace or Pace()
        self._address = Address(cluster, service)
        self._first, self._candidates = "", contextlib.ExitStack()
        self.leaders: list[str] = []

    def __enter__(self) -> Self:
        """Have the role that the Service chooses elected, and let the others wait for it."""
        self._first = self._address.read()
        for role in ROLES:
            _require_ready(self._cluster, role)
        self._cluster.delete("lease", _LEASE)  # of a kernel that has died
        with contextlib.ExitStack() as stack:
            stack.callback(self._restore)
            leader = stack.enter_context(self._candidate(self._first))
            late = NotReady(f"Nobody holds Lease {_LEASE} after {_ELECTED_WITHIN_S:g} s: lab.get()")
            wait_for(lambda: leader.leads or None, timeout_s=_ELECTED_WITHIN_S, late=lambda: late)
            for role in ROLES:
                if role != self._first:
                    stack.enter_context(self._candidate(role))
            self._candidates = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the election, and give the Service its selector back."""
        self._candidates.close()

    def _candidate(self, role: str) -> Candidate:
        (pod, *_) = self._cluster.pods(f"role={role}")
        name = pod["metadata"]["name"]

        def is_alive() -> bool:
            path, timeout_s = "/v2/health/live", self._pace.retry_s
            self._cluster.proxy_pod(name, _PORT, path, timeout_s=timeout_s)
            return True

        def lead() -> None:
            self._address.point_at(role)
            self.leaders.append(role)

        return Candidate(self._cluster, _LEASE, role, pace=self._pace, is_alive=is_alive, lead=lead)

    def _restore(self) -> None:
        self._address.point_at(self._first)
        self._cluster.delete("lease", _LEASE)


def _has_ready(cluster: Cluster, role: str) -> bool:
    return any(is_ready(pod) for pod in cluster.pods(f"role={role}"))


def _require_ready(cluster: Cluster, role: str) -> None:
    if not _has_ready(cluster, role):
        raise InvalidInput(f"No pod with role={role} is Ready to take over: lab.wait()")
