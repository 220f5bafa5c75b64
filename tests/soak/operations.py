"""What the soak does to a namespace: everything that people and machines do to one, at random.

An operation may meet a cluster in any state, so it takes what there is; what it leaves broken is
put right by `repair`. A refusal by the API is an answer, and those that must refuse do.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from lab_utils.backends import Backend
from lab_utils.errors import ClusterError
from tests.contract.cluster import MERGE, STRATEGIC, Answer, Namespace, Object
from tests.contract.manifests import IMAGE, config_map
from tests.soak import objects
from tests.soak.machine import kubelet_of

APPLY = "application/apply-patch+yaml"
_FROZEN_S = 0.8
_CROWD = 50
_KILLED_AT_MOST = 2  # or back-off, which doubles, would outlast the wait for convergence


@dataclass
class Chapter:
    """One namespace and its troubles.

    Args:
        namespace: A fresh one.
        backend: The machines below.
        run_id: Of the cluster's processes.
        control_plane: Its process.
        rng: Chooses.
        nodes: Nodes that take pods; the first one's kubelet is never killed, so that its memory
            can be followed.
    """

    namespace: Namespace
    backend: Backend
    run_id: str
    control_plane: int
    rng: random.Random
    nodes: list[str]
    written: set[tuple[str, str]] = field(default_factory=set)
    """(uid, version) of every object that a write was answered with."""
    faults: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    _deaf: set[str] = field(default_factory=set)
    """Nodes whose kubelet hears nothing now, or would act on it late."""
    _repairs: list[Callable[[], object]] = field(default_factory=list)
    _numbers: int = 0

    def begin(self) -> None:
        """Deploy everything in its first revision."""
        for name in objects.DEPLOYMENTS:
            self._apply(name, replicas=1 if name == "busy" else 2, revision=0)
        self._write("POST", self.namespace.path("Service"), objects.service())

    def operate(self) -> str:
        """Do something; give what it was."""
        operation = self.rng.choice(OPERATIONS)
        name = operation.__name__.replace("_", " ")
        self.done.append(name)
        with suppress(ClusterError):  # its pod has gone, or its node does not answer
            operation(self)
        return name

    def repair(self) -> None:
        """Put right whatever is still broken on purpose."""
        self.done.append("repair")
        while self._repairs:
            with suppress(ClusterError):
                self._repairs.pop()()
        self._deaf.clear()
        for name in objects.DEPLOYMENTS:
            if self._read("Deployment", name) is None:
                self._await_end_of(name)
                self._apply(name, replicas=1, revision=0)

    def apply(self) -> None:
        """Apply a Deployment in another revision; some come back, so that ReplicaSets do too."""
        name = self.rng.choice(objects.DEPLOYMENTS)
        self._apply(name, replicas=self._replicas(name), revision=self.rng.randrange(3))

    def scale(self) -> None:
        """Scale a Deployment."""
        name = self.rng.choice(objects.DEPLOYMENTS)
        path = self.namespace.path("Deployment", name) + "/scale"
        body = {"spec": {"replicas": self._replicas(name)}}
        self.namespace.cluster.request("PATCH", path, body, content_type=MERGE)

    def pause_rollout(self) -> None:
        """Pause a Deployment's rollout, and apply another revision meanwhile."""
        name = self.rng.choice(objects.DEPLOYMENTS)
        self._patch("Deployment", name, {"spec": {"paused": True}})
        self._repairs.append(lambda: self._patch("Deployment", name, {"spec": {"paused": None}}))
        self._apply(name, replicas=self._replicas(name), revision=self.rng.randrange(3))

    def break_image(self) -> None:
        """Roll out an image that no node has."""
        name = self.rng.choice(objects.DEPLOYMENTS)
        container = {"name": "c", "image": "nobody:1", "imagePullPolicy": "Never"}
        template = {"template": {"spec": {"containers": [container]}}}
        path = self.namespace.path("Deployment", name)
        self._write("PATCH", path, {"spec": template}, content_type=STRATEGIC)
        good = {"containers": [{"name": "c", "image": IMAGE, "imagePullPolicy": None}]}
        body = {"spec": {"template": {"spec": good}}}
        self._repairs.append(lambda: self._write("PATCH", path, body, content_type=STRATEGIC))

    def delete_deployment(self) -> None:
        """Delete a Deployment, its pods first, later, or not: they are its successor's then."""
        name = self.rng.choice(objects.DEPLOYMENTS)
        policy = self.rng.choice(("Foreground", "Background", "Orphan"))
        self.namespace.delete("Deployment", name, propagationPolicy=policy)

    def delete_pod(self) -> None:
        """Delete a pod, with its own time to end, less, or none."""
        if pod := self._pod():
            grace = self.rng.choice(({}, {"gracePeriodSeconds": 1}, {"gracePeriodSeconds": 0}))
            self.namespace.delete("Pod", pod["metadata"]["name"], **grace)

    def kill_container(self) -> None:
        """Kill a container's process."""
        if pod := self._pod():
            self._signal(pod, "KILL")

    def hang_container(self) -> None:
        """Stop a container's process."""
        if pod := self._pod():
            self._signal(pod, "STOP")
            self._repairs.append(lambda: self._signal(pod, "CONT"))

    def freeze_node(self) -> None:
        """Freeze a node."""
        node = self.rng.choice(self.nodes)
        self.backend.pause_node(node)
        self._deaf.add(node)
        self._repairs.append(lambda: self.backend.unpause_node(node))

    def cut_node(self) -> None:
        """Cut the power of a node."""
        node = self.nodes[-1]
        self.backend.stop_node(node)
        self._deaf.add(node)
        self._repairs.append(lambda: self.backend.start_node(node))

    def kill_kubelet(self) -> None:
        """Kill a node's kubelet."""
        if pid := kubelet_of(self.run_id, self.nodes[-1]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze_control_plane(self) -> None:
        """Stop the control plane for a moment."""
        os.kill(self.control_plane, signal.SIGSTOP)
        time.sleep(_FROZEN_S)  # what is frozen cannot be waited for
        os.kill(self.control_plane, signal.SIGCONT)

    def run_job(self) -> None:
        """Create a Job."""
        self._write("POST", self.namespace.path("Job"), objects.job(self._number()))

    def overeat(self) -> None:
        """Create a pod that eats more memory than it may."""
        self._write("POST", self.namespace.path("Pod"), objects.glutton(self._number()))

    def churn(self) -> None:
        """Create, change and delete a large ConfigMap."""
        name = f"churn-{self._number()}"
        text = self.rng.choice(("", "x" * 1_000, "y" * 100_000))
        self._write("POST", self.namespace.path("ConfigMap"), config_map(name, text=text))
        for number in range(5):
            self._patch("ConfigMap", name, {"data": {"number": str(number)}})
        self.namespace.delete("ConfigMap", name)

    def crowd(self) -> None:
        """Open many watches at once and vanish without a word."""
        path = self.namespace.path("Pod")
        streams = [
            self.namespace.cluster.open("GET", path, stream=True, watch=1) for _ in range(_CROWD)
        ]
        for stream in streams:
            stream.shutdown()
            stream.close()

    def be_refused(self) -> None:
        """Send what must be refused: a stale version, a name that is taken, a wrong type."""
        found = self._read("Deployment", "small")
        if found is None:
            return
        path = self.namespace.path("Deployment", "small")
        stale = found | {"metadata": found["metadata"] | {"resourceVersion": "1"}}
        request = self.namespace.cluster.request
        self._expect("a stale version", 409, request("PUT", path, stale))
        made = objects.deployment("small", 1, 0)
        taken = request("POST", self.namespace.path("Deployment"), made)
        self._expect("a name that is taken", 409, taken)
        wrong = {"spec": {"replicas": -1}}
        self._expect("-1 replicas", 422, request("PATCH", path, wrong, content_type=MERGE))

    def read_in_pages(self) -> None:
        """Read a list in pages: all pages are of one moment."""
        path, request = self.namespace.path("Pod"), self.namespace.cluster.request
        page = request("GET", path, limit=2).body
        first, versions = page["metadata"]["resourceVersion"], set()
        uids = [pod["metadata"]["uid"] for pod in page["items"]]
        while again := page["metadata"].get("continue"):
            page = request("GET", path, **{"limit": 2, "continue": again}).body
            versions.add(page["metadata"]["resourceVersion"])
            uids += [pod["metadata"]["uid"] for pod in page["items"]]
        if versions - {first} or len(uids) != len(set(uids)):
            self.faults.append(f"pages of {sorted(versions | {first})} with {len(uids)} pods")

    def _apply(self, name: str, *, replicas: int, revision: int) -> None:
        path = self.namespace.path("Deployment", name)
        body = objects.deployment(name, replicas, revision)
        query = {"fieldManager": "soak", "force": "true", "fieldValidation": "Strict"}
        self._write("PATCH", path, body, content_type=APPLY, **query)

    def _patch(self, kind: str, name: str, body: object) -> None:
        self._write("PATCH", self.namespace.path(kind, name), body, content_type=MERGE)

    def _write(self, method: str, path: str, body: object, **options: str) -> None:
        """Write an object; the version it is answered with must come to every witness."""
        answer = self.namespace.cluster.request(method, path, body, **options)
        if answer.code < 300:
            metadata = answer.body["metadata"]
            self.written.add((metadata["uid"], metadata["resourceVersion"]))
        elif answer.code not in (404, 409):  # deleted by another operation, or going
            self.faults.append(f"{method} {path} was refused: {answer.text}")

    def _expect(self, what: str, code: int, answer: Answer) -> None:
        if answer.code not in (code, 404):
            self.faults.append(f"{what} was answered with {answer.code}, not {code}")

    def _await_end_of(self, name: str) -> None:
        try:
            self.namespace.until_gone("Deployment", name)
        except AssertionError as exc:
            self.faults.append(str(exc))

    def _read(self, kind: str, name: str) -> Object | None:
        found = self.namespace.read(kind, name)
        return None if found is None or "deletionTimestamp" in found["metadata"] else found

    def _pod(self) -> Object | None:
        """Choose a running pod that has not been killed often."""
        found = [
            pod
            for pod in self.namespace.objects("Pod")
            if pod["status"].get("phase") == "Running"
            and pod["spec"]["nodeName"] not in self._deaf
            and pod["metadata"]["labels"].get("app") in objects.DEPLOYMENTS
            and sum(c["restartCount"] for c in pod["status"].get("containerStatuses", ()))
            < _KILLED_AT_MOST
        ]
        return self.rng.choice(found) if found else None

    def _signal(self, pod: Object, name: str) -> None:
        self.backend.signal_container(self.namespace.name, pod["metadata"]["name"], "c", name)

    def _replicas(self, name: str) -> int:
        return self.rng.randrange(2 if name == "busy" else 5)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers


OPERATIONS: tuple[Callable[[Chapter], None], ...] = (
    *(Chapter.apply, Chapter.scale, Chapter.delete_pod, Chapter.kill_container) * 2,
    Chapter.pause_rollout,
    Chapter.break_image,
    Chapter.delete_deployment,
    Chapter.hang_container,
    Chapter.freeze_node,
    Chapter.cut_node,
    Chapter.kill_kubelet,
    Chapter.freeze_control_plane,
    Chapter.run_job,
    Chapter.overeat,
    Chapter.churn,
    Chapter.crowd,
    Chapter.be_refused,
    Chapter.read_in_pages,
)
