"""Whatever becomes of its pods, and wherever a look is cut short: a Job counts each pod once."""

import random
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.actions import Requeue
from lab_utils.controlplane.controllers.events import Recorder
from lab_utils.controlplane.controllers.execution import execute
from lab_utils.controlplane.controllers.job import reconcile
from lab_utils.controlplane.controllers.jobend import outcome
from lab_utils.controlplane.controllers.jobindexes import index_of, read_indexes
from lab_utils.controlplane.controllers.objects import is_finished
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Store
from lab_utils.controlplane.timestamps import rfc3339

LOOKS = 300


class Simulation:
    """A Job, its controller, and a clock that jumps to the next thing to do."""

    def __init__(self, spec: Object) -> None:
        self.now = datetime.fromisoformat("2026-11-23T15:00:00Z")
        self.registry = Registry(Store(), lambda: self.now)
        self.world = World(ClusterConfig(name="t", run_id="t", nodes=(), host_ports={}))
        self.recorder = Recorder(self.registry)
        self.registry.store.subscribe(self.world.observe)
        self.registry.create("Namespace", {"metadata": {"name": "lab"}})
        self._create("ServiceAccount", "default", {})
        pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "sum:1"}]}
        self.ended: list[Object] = []
        self._create("Job", "sums", {"spec": spec | {"template": {"spec": pod}}})

    def _create(self, kind: str, name: str, body: Object) -> None:
        self.registry.create(kind, {"metadata": {"name": name, "namespace": "lab"}} | body)

    @property
    def job(self) -> Object:
        return self.registry.get("Job", "lab", "sums")

    def pods(self, *phases: str) -> list[Object]:
        return [pod for pod in self.registry.list("Pod", "lab") if pod["status"]["phase"] in phases]

    def that(self, phase: str) -> list[Object]:
        """Give the pods that have ended so, whether they are still there or not."""
        return [pod for pod in self.ended if pod["status"]["phase"] == phase]

    def look(self, cut: int | None) -> None:
        """Reconcile once; carry out only so many of the actions."""
        actions = reconcile(self.job, self.world, self.now)
        execute(actions[:cut], self.registry, self.recorder, self.world)
        waits = [action.after_s for action in actions if isinstance(action, Requeue)]
        if cut is None and waits and not self.pods("Pending"):
            self.now += timedelta(seconds=min(waits))

    def end(self, pod: Object, phase: str) -> None:
        over = {"exitCode": 0 if phase == "Succeeded" else 1, "finishedAt": rfc3339(self.now)}
        states = [{"name": "c", "restartCount": 0, "state": {"terminated": over}}]
        status = pod["status"] | {"phase": phase, "containerStatuses": states}
        self.ended.append(
            self.registry.update("Pod", pod | {"status": status}, subresource="status")
        )


def is_tracked(pod: Object) -> bool:
    return bool(pod["metadata"].get("finalizers"))


@given(
    completions=st.integers(0, 6),
    parallelism=st.integers(1, 4),
    mode=st.sampled_from(["NonIndexed", "Indexed"]),
    limits=st.sampled_from([{}, {"backoffLimit": 0}, {"backoffLimit": 2}]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_a_job_counts_every_pod_once(
    completions: int, parallelism: int, mode: str, limits: Object, seed: int
) -> None:
    luck = random.Random(seed)
    spec = {"completions": completions, "parallelism": parallelism, "completionMode": mode}
    simulation = Simulation(spec | limits)
    for _ in range(LOOKS):
        simulation.look(luck.choice([None, None, None, 0, 1, 2, 3]))
        if outcome(simulation.job):
            break
        assert len(simulation.pods("Pending", "Running")) <= parallelism
        for pod in filter(is_tracked, simulation.pods("Pending")):
            if end := luck.choice(["", "Succeeded", "Succeeded", "Failed"]):
                simulation.end(pod, end)
    check(simulation, completions)


def check(simulation: Simulation, completions: int) -> None:
    """See that the books are right once the Job is over."""
    job = simulation.job
    end, status = outcome(job), job["status"]
    assert end is not None, f"not over after {LOOKS} looks: {status}"
    succeeded, failed = simulation.that("Succeeded"), simulation.that("Failed")
    if job["spec"]["completionMode"] == "Indexed":
        done = {index_of(pod) for pod in succeeded}
        assert read_indexes(status.get("completedIndexes", "")) == done
        assert status.get("succeeded", 0) == len(done)
    else:
        assert status.get("succeeded", 0) == len(succeeded)
    assert status.get("failed", 0) >= len(failed)
    assert "active" not in status
    if end["type"] == "Complete":
        assert status.get("succeeded", 0) == completions
        assert status.get("failed", 0) == len(failed)
    else:
        assert status["failed"] > job["spec"]["backoffLimit"]
    left = simulation.registry.list("Pod", "lab")
    assert all(is_finished(pod) and not is_tracked(pod) for pod in left)
