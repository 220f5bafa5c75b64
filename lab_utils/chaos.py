"""Break things on purpose, at a planned moment, and always put them right again.

A fault is made by `lab.faults`, and either handed to `lab.fire(..., faults=[...])`, which injects
it on the run's own clock, or used as a context manager. What is broken is chosen at that moment:
"primary" means the pod that plays that part then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from lab_utils import control
from lab_utils.api import Object
from lab_utils.autoscaler import autoscale, remove_autoscalers
from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready
from lab_utils.draining import Drain
from lab_utils.errors import ClusterError, InvalidInput, NotReady

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation by which `kubectl rollout restart` makes a pod template a new one."""
_CONTAINER = "worker"


class Power(Protocol):
    """What faults need of a backend: the machine below the API."""

    def stop_node(self, name: str) -> None:
        """Cut the power of a node."""

    def pause_node(self, name: str) -> None:
        """Freeze a node."""

    def unpause_node(self, name: str) -> None:
        """Thaw a node."""

    def start_node(self, name: str) -> None:
        """Give a node its power back."""

    def signal_container(self, namespace: str, pod: str, container: str, signal: str) -> None:
        """Send KILL, STOP or CONT to a container's main process."""


@dataclass
class Fault:
    """One planned fault.

    Args:
        name: What is done, as charts say it: "kill -9".
        target: To whom: a role or a node.
        at_s: When, in seconds since the start of the run.
        duration_s: How long until it is undone; None for faults that the cluster has to heal.
        breaks: Does it and gives what puts it right again.
    """

    name: str
    target: str
    at_s: float
    duration_s: float | None
    breaks: Callable[[], Callable[[], None]] = field(repr=False)
    _undo: Callable[[], None] | None = field(default=None, repr=False)

    def inject(self) -> None:
        """Break it; once, however often called."""
        if self._undo is None:
            self._undo = self.breaks()

    def undo(self) -> None:
        """Put it right; nothing happens if it is not broken."""
        if self._undo is not None:
            undo, self._undo = self._undo, None
            undo()

    def __enter__(self) -> Self:
        """Inject at once."""
        self.inject()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Undo, whatever happened in between."""
        self.undo()


class Faults:
    """The faults that can be injected into one cluster."""

    def __init__(self, cluster: Cluster, power: Power) -> None:
        self._cluster, self._power = cluster, power

    def delete_pod(self, role: str, *, at_s: float = 0.0) -> Fault:
        """Delete the pod of a role, as `kubectl delete pod` does; its Deployment replaces it."""

        def breaks() -> Callable[[], None]:
            self._cluster.delete("pod", self._pod(role)["metadata"]["name"])
            return _nothing

        return self._fault("delete pod", role, at_s, None, breaks)

    def kill(self, role: str, *, at_s: float = 0.0) -> Fault:
        """Kill the container's process of a role with SIGKILL; the kubelet restarts it."""

        def breaks() -> Callable[[], None]:
            self._signal(self._pod(role), "KILL")
            return _nothing

        return self._fault("kill -9", role, at_s, None, breaks)

    def hang(self, role: str, *, at_s: float = 0.0, duration_s: float = 8.0) -> Fault:
        """Stop the container's process of a role: it accepts connections and answers none."""

        def breaks() -> Callable[[], None]:
            pod = self._pod(role)
            self._signal(pod, "STOP")
            return lambda: self._signal_if_there(pod, "CONT")

        return self._fault("hang", role, at_s, duration_s, breaks)

    def crash(self, role: str, *, at_s: float = 0.0, exit_code: int = 1) -> Fault:
        """Let the worker of a role end itself; the kubelet restarts it. Needs the control port."""
        return self._worker("crash", role, at_s, None, exit_code=exit_code)

    def fail(
        self, role: str, *, rate: float, status: int = 500, at_s: float = 0.0,
        duration_s: float = 10.0,
    ) -> Fault:  # fmt: skip
        """Let a share of a role's requests fail with an HTTP status. Needs the control port."""
        return self._worker("fail", role, at_s, duration_s, rate=rate, status=status)

    def slow(
        self, role: str, *, factor: float, at_s: float = 0.0, duration_s: float = 10.0
    ) -> Fault:
        """Let a role's requests take so many times as long. Needs the control port."""
        return self._worker("slow", role, at_s, duration_s, factor=factor)

    def not_ready(self, role: str, *, at_s: float = 0.0, duration_s: float = 10.0) -> Fault:
        """Let the worker of a role say it is not ready; it serves on. Needs the control port."""
        return self._worker("not_ready", role, at_s, duration_s)

    def leak(
        self, role: str, *, mib_per_s: float, at_s: float = 0.0, duration_s: float = 60.0
    ) -> Fault:
        """Let the worker of a role keep ever more memory. Needs the control port."""
        return self._worker("leak", role, at_s, duration_s, mib_per_s=mib_per_s)

    def stall(self, role: str, *, at_s: float = 0.0, duration_s: float = 10.0) -> Fault:
        """Let a role take requests and serve none; its probes are answered. Needs the control port.

        As with a database or a GPU that stands still. What has come meanwhile is served afterwards.
        """
        return self._worker("stall", role, at_s, duration_s)

    def roll_out(self, role: str, change: Object | None = None, *, at_s: float = 0.0) -> Fault:
        """Replace the pods of a role's Deployment by new ones, as a new version would.

        Args:
            role: Whose.
            change: What is new of the pods' spec, as `kubectl patch` takes it; by default nothing,
                as with `kubectl rollout restart`.
            at_s: When.
        """

        def breaks() -> Callable[[], None]:
            stamp = {RESTARTED_AT: datetime.now(UTC).isoformat(timespec="microseconds")}
            template = {"metadata": {"annotations": stamp}, "spec": change or {}}
            for deployment in self._cluster.deployments(f"role={role}"):
                name = deployment["metadata"]["name"]
                self._cluster.patch("deployment", name, {"spec": {"template": template}})
            return _nothing

        return self._fault("rollout", role, at_s, None, breaks)

    def scale(self, role: str, replicas: int, *, at_s: float = 0.0) -> Fault:
        """Set the replicas of a role's Deployment in the middle of a run; they stay."""

        def breaks() -> Callable[[], None]:
            for deployment in self._cluster.deployments(f"role={role}"):
                self._cluster.scale(deployment["metadata"]["name"], replicas)
            return _nothing

        return self._fault(f"scale to {replicas}", role, at_s, None, breaks)

    def autoscale(
        self, role: str, *, target_pct: int = 50, most: int = 4, at_s: float = 0.0
    ) -> Fault:
        """Put a role's Deployment under an autoscaler until the end of the run.

        No fault, but a change that a run is there to watch.

        Args:
            role: Whose.
            target_pct: Use of the CPU to aim at, as a percentage of the pods' request.
            most: Pods at most.
            at_s: When.
        """

        def breaks() -> Callable[[], None]:
            for deployment in self._cluster.deployments(f"role={role}"):
                name = deployment["metadata"]["name"]
                autoscale(self._cluster, name, target_pct=target_pct, most=most)
            return partial(remove_autoscalers, self._cluster, role)

        return self._fault("autoscale", role, at_s, None, breaks)

    def drain(self, role: str, *, at_s: float = 0.0, duration_s: float = 20.0) -> Fault:
        """Cordon the node of a role and evict the lab's pods from it, as budgets allow."""

        def breaks() -> Callable[[], None]:
            draining = Drain(self._cluster, self._node(role)).__enter__()
            return partial(draining.__exit__, None, None, None)

        return self._fault("drain", role, at_s, duration_s, breaks)

    def stop_node(self, role: str, *, at_s: float = 0.0, duration_s: float = 20.0) -> Fault:
        """Cut the power of the node on which a role runs, and switch it on again later."""

        def breaks() -> Callable[[], None]:
            node = self._node(role)
            self._power.stop_node(node)
            return lambda: self._power.start_node(node)

        return self._fault("stop node", role, at_s, duration_s, breaks)

    def pause_node(self, role: str, *, at_s: float = 0.0, duration_s: float = 20.0) -> Fault:
        """Freeze the node on which a role runs, and thaw it later."""

        def breaks() -> Callable[[], None]:
            node = self._node(role)
            self._power.pause_node(node)
            return lambda: self._power.unpause_node(node)

        return self._fault("pause node", role, at_s, duration_s, breaks)

    def _fault(
        self,
        name: str,
        target: str,
        at_s: float,
        duration_s: float | None,
        breaks: Callable[[], Callable[[], None]],
    ) -> Fault:
        for argument, value in (("at_s", at_s), ("duration_s", duration_s)):
            if value is not None and not 0 <= value < float("inf"):
                raise InvalidInput(f"{name}: {argument} is {value!r}: want seconds from 0 on")
        return Fault(name, target, at_s, duration_s, breaks)

    def _worker(
        self, name: str, role: str, at_s: float, duration_s: float | None, **how: object
    ) -> Fault:
        def breaks() -> Callable[[], None]:
            pod = self._pod(role)["metadata"]["name"]
            undo = control.inject(self._cluster, pod, {"kind": name, **how})
            return _nothing if duration_s is None else undo

        return self._fault(name.replace("_", " "), role, at_s, duration_s, breaks)

    def _pod(self, role: str) -> Object:
        pods = self._cluster.pods(f"role={role}")
        for pod in sorted(pods, key=is_ready, reverse=True):
            return pod
        raise NotReady(
            f"There is no pod with role={role} in namespace {self._cluster.namespace} to break. "
            "Deploy first: lab.ensure()"
        )

    def _node(self, role: str) -> str:
        node: str | None = self._pod(role)["spec"].get("nodeName")
        if node is None:
            raise NotReady(f"The pod of role {role} is on no node yet: lab.wait() first")
        return node

    def _signal(self, pod: Object, signal: str) -> None:
        meta = pod["metadata"]
        self._power.signal_container(meta["namespace"], meta["name"], _CONTAINER, signal)

    def _signal_if_there(self, pod: Object, signal: str) -> None:
        try:
            self._signal(pod, signal)
        except ClusterError:
            if any(p["metadata"]["uid"] == pod["metadata"]["uid"] for p in self._cluster.pods()):
                raise


def _nothing() -> None:
    """Undo a fault that the cluster heals by itself."""
