"""Leader election over a Lease, by the rules of client-go.

A candidate stands beside each server, as a sidecar would, and asks for the Lease as long as its
server answers. It believes its own monotonic clock only: a Lease that it has not seen renewed for
lease_s is free, whatever time is written in it. In the lab candidates are threads of this process,
which saves a second image; the Lease, its optimistic locking and the races for it are real.
"""

import contextlib
import json
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lab_utils.api import Object
from lab_utils.background import Background
from lab_utils.cluster import Cluster
from lab_utils.errors import ClusterError, NotFound

_KIND = "lease"


@dataclass(frozen=True)
class Pace:
    """How patient candidates are; client-go's names in parentheses.

    Attributes:
        lease_s: A Lease not renewed for so long is free (LeaseDuration).
        renew_s: A holder that could not renew for so long resigns (RenewDeadline); shorter than
            lease_s, so that it has stopped before another begins.
        retry_s: The holder renews this often (RetryPeriod); the others look after retry_s to
            retry_s (1 + jitter).
        jitter: See retry_s (JitterFactor).
    """

    lease_s: float = 3.0
    renew_s: float = 2.0
    retry_s: float = 0.5
    jitter: float = 1.2


class Candidate(Background):
    """Asks for a Lease while its context lasts, and keeps it while its server is alive.

    Args:
        cluster: Where the Lease is.
        lease: Its name; made by whoever comes first.
        name: Of the candidate, such as a role.
        pace: How patient it is.
        is_alive: Asks the server; False or an error of the cluster means no.
        lead: Called each time the candidate has won.

    Source:
        kubernetes/client-go, tools/leaderelection/leaderelection.go: acquire, renew and
        tryAcquireOrRenew.
    """

    def __init__(
        self,
        cluster: Cluster,
        lease: str,
        name: str,
        *,
        pace: Pace,
        is_alive: Callable[[], bool],
        lead: Callable[[], None],
    ) -> None:
        super().__init__(f"candidate-{name}")
        self._cluster, self._lease, self._candidate = cluster, lease, name
        self._pace, self._is_alive, self._lead = pace, is_alive, lead
        self._become_another()

    def _become_another(self) -> None:
        """Begin again as a new process would: a new identity, and no Lease seen yet.

        So who has resigned waits for a whole lease_s from its next look, and those who have waited
        meanwhile come first.
        """
        self._identity = f"{self._candidate}-{secrets.token_hex(3)}"
        self._seen, self._seen_s = ("", ""), 0.0
        self.leads, self._renewed_s = False, 0.0

    def _leave(self, *, late: bool) -> None:
        self.leads = False

    def _run(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(ClusterError):  # a lost race, or the API is away: next time
                self._turn()
            if self.leads and time.monotonic() - self._renewed_s > self._pace.renew_s:
                self._become_another()
            self._stopped.wait(self._pause_s())

    def _pause_s(self) -> float:
        if self.leads:
            return self._pace.retry_s
        return self._pace.retry_s * (1 + self._pace.jitter * random.random())  # noqa: S311

    def _turn(self) -> None:
        if not self._is_alive() or not self._take():
            return
        self._renewed_s = time.monotonic()
        if not self.leads:
            self.leads = True
            self._lead()

    def _take(self) -> bool:
        """Make, take or renew the Lease; False while it is another's.

        Raises:
            ClusterError: Somebody else was faster (409), or the server does not answer.
        """
        api, namespace = self._cluster.api, self._cluster.namespace
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            lease = api.read(_KIND, namespace, self._lease)
        except NotFound:
            spec = self._spec({"acquireTime": now, "leaseTransitions": 0}, now)
            meta = {"name": self._lease, "namespace": namespace}
            body: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            self._write("POST", "", body | {"metadata": meta, "spec": spec})
            return True
        held = lease["spec"]
        if self._is_held(held):
            return False
        if held.get("holderIdentity") != self._identity:
            transitions = held.get("leaseTransitions", 0) + 1
            held |= {"acquireTime": now, "leaseTransitions": transitions}
        self._write("PUT", self._lease, lease | {"spec": self._spec(held, now)})
        return True

    def _is_held(self, spec: Object) -> bool:
        """Tell whether another has the Lease: seen renewed within lease_s, by the own clock."""
        seen = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        if seen != self._seen:
            self._seen, self._seen_s = seen, time.monotonic()
        fresh = time.monotonic() - self._seen_s < self._pace.lease_s
        return seen[0] not in ("", self._identity) and fresh

    def _spec(self, spec: Object, now: str) -> Object:
        duration = {"leaseDurationSeconds": max(1, round(self._pace.lease_s))}
        return spec | duration | {"holderIdentity": self._identity, "renewTime": now}

    def _write(self, method: str, name: str, lease: Object) -> None:
        """Write what was read and changed: refused if anybody has written since."""
        path = self._cluster.api.path_of(_KIND, self._cluster.namespace, name)
        action = f"Asking for Lease {self._cluster.namespace}/{self._lease}"
        written = json.loads(self._cluster.api.request(action, method, path, body=lease))["spec"]
        self._seen = (written["holderIdentity"], written["renewTime"])
        self._seen_s = time.monotonic()
