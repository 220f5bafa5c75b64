"""Deployments, from the first pod to the way back, through the real store and rules."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.objects import condition_of, is_ready
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

from .cluster import Cluster, Kubelet, make_cluster

SURGE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def revisions(cluster: Cluster) -> dict[str, str]:
    """Give image -> revision of every ReplicaSet."""
    return {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["metadata"]["annotations"][
            "deployment.kubernetes.io/revision"
        ]
        for rs in cluster.registry.list("ReplicaSet", "lab")
    }


async def test_a_deployment_becomes_available(cluster: Cluster) -> None:
    cluster.deploy(replicas=3)
    await cluster.until(lambda: cluster.ready_replicas() == 3)
    await cluster.settle()
    conditions = {one["type"]: one["reason"] for one in cluster.status()["conditions"]}
    assert conditions == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetAvailable",
    }


async def test_scaling_up_and_to_zero(cluster: Cluster) -> None:
    cluster.deploy()
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    cluster.edit("Deployment", "web", lambda obj: obj["spec"].update(replicas=4))
    await cluster.until(lambda: cluster.ready_replicas() == 4)
    cluster.edit("Deployment", "web", lambda obj: obj["spec"].update(replicas=0))
    await cluster.until(lambda: not cluster.pods())
    assert any(
        event.startswith("ScalingReplicaSet: Scaled down") and event.endswith("from 4 to 0")
        for event in cluster.events()
    )


async def test_a_rollout_and_the_way_back(cluster: Cluster) -> None:
    cluster.deploy(replicas=2, strategy=SURGE)
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    cluster.set_image("web", "web:2")
    await cluster.until(lambda: cluster.images() == ["web:2"] * 2)
    assert revisions(cluster) == {"web:1": "1", "web:2": "2"}
    cluster.set_image("web", "web:1")
    await cluster.until(lambda: cluster.images() == ["web:1"] * 2)
    assert revisions(cluster) == {"web:1": "3", "web:2": "2"}


async def test_recreate_never_runs_two_versions(cluster: Cluster) -> None:
    held: list[str] = []
    cluster.kubelet.stops = lambda pod: pod["metadata"]["name"] not in held
    cluster.deploy(replicas=2, strategy={"type": "Recreate"})
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    held.append(cluster.pods()[0]["metadata"]["name"])
    cluster.set_image("web", "web:2")
    await cluster.until(lambda: len(cluster.pods()) == 1)
    await cluster.settle()
    assert cluster.images() == []
    cluster.registry.delete("Pod", "lab", held.pop(), grace_s=0)
    await cluster.until(lambda: cluster.images() == ["web:2"] * 2)


async def test_a_paused_deployment_waits(cluster: Cluster) -> None:
    cluster.deploy(replicas=1)
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    cluster.edit("Deployment", "web", lambda obj: obj["spec"].update(paused=True))
    cluster.set_image("web", "web:2")
    await cluster.settle()
    assert cluster.images() == ["web:1"]
    cluster.edit("Deployment", "web", lambda obj: obj["spec"].pop("paused"))
    await cluster.until(lambda: cluster.images() == ["web:2"])


async def test_a_stuck_rollout_exceeds_its_deadline(cluster: Cluster) -> None:
    cluster.kubelet.starts = lambda pod: "web:2" not in str(pod["spec"])
    cluster.deploy(progressDeadlineSeconds=1, strategy=SURGE)
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    cluster.set_image("web", "web:2")

    def reason() -> str:
        condition = condition_of({"status": cluster.status()}, "Progressing")
        return condition["reason"] if condition else ""

    await cluster.until(lambda: reason() == "ProgressDeadlineExceeded")
    assert cluster.ready_replicas() == 1


async def test_the_pods_of_two_rollouts_are_spread_apart(cluster: Cluster) -> None:
    rule = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}
    rule |= {"whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["pod-template-hash"]}
    rule["labelSelector"] = {"matchLabels": {"app": "web"}}
    container = {"name": "c", "image": "web:1"}
    spec = {"containers": [container], "topologySpreadConstraints": [rule]}
    cluster.deploy(replicas=2, template={"metadata": {"labels": {"app": "web"}}, "spec": spec})
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    cluster.set_image("web", "web:2")
    await cluster.until(lambda: cluster.images() == ["web:2"] * 2)
    nodes = {pod["spec"]["nodeName"] for pod in cluster.pods(terminating=False)}
    assert nodes == {"w1", "w2"}
    (added,) = cluster.pods(terminating=False)[0]["spec"]["topologySpreadConstraints"][0][
        "labelSelector"
    ]["matchExpressions"]
    assert (added["key"], added["operator"]) == ("pod-template-hash", "In")


async def test_a_forbidden_pod_is_explained_on_the_deployment(cluster: Cluster) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.edit("Namespace", "lab", lambda obj: obj["metadata"]["labels"].update(label))
    cluster.deploy()
    await cluster.until(
        lambda: condition_of({"status": cluster.status()}, "ReplicaFailure") is not None
    )
    failure = condition_of({"status": cluster.status()}, "ReplicaFailure") or {}
    assert 'violates PodSecurity "restricted:latest"' in failure["message"]
    assert any(event.startswith("FailedCreate: Error creating: ") for event in cluster.events())


async def test_a_forbidden_pod_comes_once_it_is_allowed(cluster: Cluster) -> None:
    key = "pod-security.kubernetes.io/enforce"
    cluster.edit(
        "Namespace", "lab", lambda obj: obj["metadata"]["labels"].update({key: "baseline"})
    )
    container = {"name": "c", "image": "web:1", "securityContext": {"privileged": True}}
    labels = {"app": "web"}
    cluster.deploy(template={"metadata": {"labels": labels}, "spec": {"containers": [container]}})
    await cluster.until(lambda: cluster.status("Deployment").get("conditions", [])[2:])
    cluster.edit("Namespace", "lab", lambda obj: obj["metadata"]["labels"].pop(key))
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    await cluster.settle()
    assert condition_of({"status": cluster.status()}, "ReplicaFailure") is None


async def test_more_pods_than_the_lab_runs_are_refused_with_a_reason(cluster: Cluster) -> None:
    cluster.kubelet.starts = lambda _pod: False
    cluster.deploy(replicas=2**31 - 1)
    await cluster.until(lambda: "500 at most" in str(cluster.status().get("conditions")))
    assert len(cluster.pods()) == 500


async def test_history_beyond_its_limit_is_forgotten(cluster: Cluster) -> None:
    cluster.deploy(revisionHistoryLimit=1)
    for version in (2, 3, 4):
        await cluster.until(lambda: cluster.ready_replicas() == 1)
        cluster.set_image("web", f"web:{version}")
        await cluster.until(lambda image=f"web:{version}": cluster.images() == [image])
        await cluster.settle()
    await cluster.until(lambda: set(revisions(cluster)) == {"web:3", "web:4"})


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_deleting_a_deployment_takes_its_pods_along(cluster: Cluster, policy: str) -> None:
    cluster.deploy(replicas=2)
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    cluster.registry.delete("Deployment", "lab", "web", propagation=policy)
    kinds = ("Deployment", "ReplicaSet", "Pod")
    await cluster.until(lambda: not any(cluster.registry.list(kind, "lab") for kind in kinds))
    gone = [change.kind for change in cluster.changes if change.type == "DELETED"]
    order = [kind for kind in gone if kind in kinds]
    expected = ["Deployment", "ReplicaSet", "Pod", "Pod"]
    assert order == (expected if policy == "Background" else expected[::-1])


async def test_orphaned_pods_stay_and_are_adopted_again(cluster: Cluster) -> None:
    cluster.deploy(replicas=1)
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    names = [pod["metadata"]["name"] for pod in cluster.pods()]
    cluster.registry.delete("Deployment", "lab", "web", propagation="Orphan")
    await cluster.until(lambda: cluster.registry.find("Deployment", "lab", "web") is None)
    cluster.deploy(replicas=1)
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == names


async def test_a_deleted_pod_is_replaced_while_it_terminates(cluster: Cluster) -> None:
    cluster.deploy()
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    cluster.kubelet.stops = lambda _pod: False
    cluster.registry.delete("Pod", "lab", cluster.pods()[0]["metadata"]["name"])
    await cluster.until(lambda: len(cluster.pods()) == 2)
    await cluster.until(lambda: cluster.ready_replicas() == 1)
    await cluster.settle()
    assert cluster.status()["terminatingReplicas"] == 1


class _Limits:
    """Watches that a rollout keeps the promises of its strategy at every single change.

    Kubernetes promises maxSurge for what ReplicaSets are asked for, and so does the lab.
    """

    def __init__(self, cluster: Cluster, total: int, available: int) -> None:
        self._cluster, self._total, self._available = cluster, total, available
        self.broken: list[str] = []

    def __call__(self, _change: Change) -> None:
        replica_sets = self._cluster.registry.list("ReplicaSet", "lab")
        asked = sum(rs["spec"]["replicas"] for rs in replica_sets)
        ready = sum(map(is_ready, self._cluster.pods(terminating=False)))
        if asked > self._total:
            self.broken.append(f"{asked} pods asked for, {self._total} allowed")
        if ready < self._available:
            self.broken.append(f"{ready} ready, {self._available} promised")


@given(
    replicas=st.integers(1, 6),
    surge=st.sampled_from([0, 1, 2, "25%", "100%"]),
    unavailable=st.sampled_from([0, 1, "25%", "50%"]),
)
@settings(max_examples=15, deadline=None)
def test_a_rolling_update_keeps_its_promises(replicas: int, surge: Any, unavailable: Any) -> None:
    asyncio.run(_rolls_within_limits(replicas, surge, unavailable))


def _part(value: Any, total: int, rounded: Any) -> int:
    return value if isinstance(value, int) else rounded(int(value[:-1]) * total / 100)


async def _rolls_within_limits(replicas: int, surge: Any, unavailable: Any) -> None:
    if (surge, unavailable) == (0, 0):
        return  # refused by validation
    most, least = _part(surge, replicas, math.ceil), _part(unavailable, replicas, math.floor)
    least = least if most or least else 1
    config = ClusterConfig(name="test", run_id="test", nodes=(), host_ports={})
    cluster = make_cluster(config, Kubelet())
    rolling: Object = {"maxSurge": surge, "maxUnavailable": unavailable}
    cluster.controllers.start()
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    cluster.deploy(replicas=replicas, strategy=strategy)
    await cluster.until(lambda: cluster.ready_replicas() == replicas)
    limits = _Limits(cluster, replicas + most, replicas - min(least, replicas))
    cluster.registry.store.subscribe(limits)
    cluster.set_image("web", "web:2")
    await cluster.until(lambda: cluster.images() == ["web:2"] * replicas)
    await cluster.controllers.stop()
    assert limits.broken == []
