"""Jobs, from the first pod to the last condition, through the real store and rules."""

from typing import Any

import pytest

from lab_utils.controlplane.controllers.jobindexes import read_indexes, write_indexes
from lab_utils.controlplane.status import Object

from .cluster import Cluster

TRACKED = "batch.kubernetes.io/job-tracking"


def start(cluster: Cluster, **spec: Any) -> None:
    """Create Job sums."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "sum:1"}]}
    cluster.apply("Job", "sums", {"template": {"spec": pod}} | spec)


def status(cluster: Cluster) -> Object:
    return cluster.status("Job", "sums")


def conditions(cluster: Cluster) -> list[str]:
    return [one["type"] for one in status(cluster).get("conditions", ())]


async def test_a_job_completes_when_enough_pods_have_succeeded(cluster: Cluster) -> None:
    cluster.kubelet.ends = lambda _pod: "Succeeded"
    start(cluster, completions=3, parallelism=2)
    await cluster.until(lambda: "Complete" in conditions(cluster))
    assert conditions(cluster) == ["SuccessCriteriaMet", "Complete"]
    told = {key: status(cluster)[key] for key in ("succeeded", "ready", "terminating")}
    assert told == {"succeeded": 3, "ready": 0, "terminating": 0}
    assert not any(pod["metadata"].get("finalizers") for pod in cluster.pods())
    assert "Completed: Job completed" in cluster.events()


async def test_never_more_pods_at_a_time_than_parallelism(cluster: Cluster) -> None:
    start(cluster, completions=5, parallelism=2)
    await cluster.settle()
    assert (len(cluster.pods()), status(cluster)["active"], status(cluster)["ready"]) == (2, 2, 2)


async def test_an_indexed_job_runs_every_index_once(cluster: Cluster) -> None:
    cluster.kubelet.ends = lambda _pod: "Succeeded"
    start(cluster, completions=4, parallelism=4, completionMode="Indexed")
    await cluster.until(lambda: "Complete" in conditions(cluster))
    assert status(cluster)["completedIndexes"] == "0-3"
    names = sorted(pod["metadata"]["name"].rpartition("-")[0] for pod in cluster.pods())
    assert names == ["sums-0", "sums-1", "sums-2", "sums-3"]
    index = "metadata.labels['batch.kubernetes.io/job-completion-index']"
    for pod in cluster.pods():
        assert pod["spec"]["containers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] == index


async def test_a_job_gives_up_after_its_backoff_limit(cluster: Cluster) -> None:
    cluster.kubelet.ends = lambda _pod: "Failed"
    start(cluster, backoffLimit=0)
    await cluster.until(lambda: "Failed" in conditions(cluster))
    assert conditions(cluster) == ["FailureTarget", "Failed"]
    assert status(cluster)["failed"] == 1
    assert "BackoffLimitExceeded: Job has reached the specified backoff limit" in cluster.events()


async def test_a_failed_pod_is_not_replaced_at_once(cluster: Cluster) -> None:
    cluster.kubelet.ends = lambda _pod: "Failed"
    start(cluster)
    await cluster.until(lambda: status(cluster).get("failed") == 1)
    await cluster.settle()
    assert len(cluster.pods()) == 1


async def test_a_job_past_its_deadline_fails_once_its_pods_are_gone(cluster: Cluster) -> None:
    cluster.kubelet.stops = lambda _pod: False
    start(cluster, activeDeadlineSeconds=1)
    await cluster.until(lambda: conditions(cluster))
    assert (conditions(cluster), status(cluster)["terminating"]) == (["FailureTarget"], 1)
    cluster.registry.delete("Pod", "lab", cluster.pods()[0]["metadata"]["name"], grace_s=0)
    await cluster.until(lambda: conditions(cluster) == ["FailureTarget", "Failed"])


async def test_a_suspended_job_stops_its_pods_until_it_is_resumed(cluster: Cluster) -> None:
    start(cluster, suspend=True)
    await cluster.until(lambda: conditions(cluster) == ["Suspended"])
    assert (cluster.pods(), "startTime" in status(cluster)) == ([], False)
    cluster.edit("Job", "sums", lambda obj: obj["spec"].update(suspend=False))
    await cluster.until(lambda: status(cluster).get("ready") == 1)
    cluster.edit("Job", "sums", lambda obj: obj["spec"].update(suspend=True))
    await cluster.until(lambda: not cluster.pods())
    assert {"Suspended: Job suspended", "Resumed: Job resumed"} <= set(cluster.events())


async def test_a_finished_job_is_deleted_after_its_time_to_live(cluster: Cluster) -> None:
    cluster.kubelet.ends = lambda _pod: "Succeeded"
    start(cluster, ttlSecondsAfterFinished=1)
    await cluster.until(lambda: "Complete" in conditions(cluster))
    await cluster.until(lambda: cluster.registry.find("Job", "lab", "sums") is None)
    assert cluster.pods() == []


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_a_deleted_job_holds_no_pod_back(cluster: Cluster, policy: str) -> None:
    start(cluster, parallelism=2, completions=2)
    await cluster.until(lambda: status(cluster).get("ready") == 2)
    cluster.registry.delete("Job", "lab", "sums", propagation=policy)
    await cluster.until(lambda: cluster.registry.find("Job", "lab", "sums") is None)
    await cluster.settle()
    left = [pod["metadata"].get("finalizers") for pod in cluster.pods()]
    assert left == ([None, None] if policy == "Orphan" else [])


@pytest.mark.parametrize(
    ("text", "indexes"),
    [("", set()), ("0", {0}), ("0,1", {0, 1}), ("0-2", {0, 1, 2}), ("1,3-5,7", {1, 3, 4, 5, 7})],
)
def test_indexes_are_written_as_runs(text: str, indexes: set[int]) -> None:
    assert (write_indexes(indexes), read_indexes(text)) == (text, indexes)
