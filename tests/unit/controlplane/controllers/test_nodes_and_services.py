"""Nodes that fall silent, budgets, endpoints and namespaces, through the real store and rules."""

import asyncio
import copy
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.objects import condition_of, is_ready
from lab_utils.controlplane.status import ApiError, Object

from .cluster import Cluster, make_cluster, node


@pytest.fixture
async def hasty(config: ClusterConfig) -> AsyncIterator[Cluster]:
    """Give a cluster whose node monitor is a hundred times as fast."""
    cluster = make_cluster(
        replace(config, node_monitor_grace_period_s=0.2, node_monitor_period_s=0.05)
    )
    cluster.registry.tolerations_s = dict.fromkeys(cluster.registry.tolerations_s, 1)
    cluster.controllers.start()
    await cluster.settle()
    yield cluster
    await cluster.controllers.stop()


def renew(cluster: Cluster, name: str) -> None:
    """Renew a node's Lease, as its kubelet does."""
    lease = cluster.registry.find("Lease", "kube-node-lease", name)
    count = int(lease["spec"]["leaseTransitions"]) + 1 if lease else 0
    metadata = lease["metadata"] if lease else {"name": name, "namespace": "kube-node-lease"}
    obj: Object = {"kind": "Lease", "metadata": metadata}
    obj["spec"] = {"holderIdentity": name, "leaseTransitions": count}
    (cluster.registry.update if lease else cluster.registry.create)("Lease", obj)


def is_ready_node(cluster: Cluster, name: str) -> bool:
    return is_ready(cluster.registry.get("Node", "", name))


def endpoints(cluster: Cluster) -> list[Object]:
    """Give the conditions of every endpoint of Service web."""
    slices = cluster.registry.list("EndpointSlice", "lab")
    return [one["conditions"] for found in slices for one in found["endpoints"] or ()]


def serve(cluster: Cluster) -> None:
    port = {"port": 80, "targetPort": 8000}
    cluster.apply("Service", "web", {"selector": {"app": "web"}, "ports": [port]})


async def test_a_silent_node_loses_its_pods(hasty: Cluster) -> None:
    hasty.edit("Node", "w2", lambda obj: obj["spec"].update(unschedulable=True))
    hasty.deploy()
    serve(hasty)
    await hasty.until(lambda: [one["ready"] for one in endpoints(hasty)] == [True])
    victim = hasty.pods()[0]["metadata"]["name"]
    hasty.kubelet.stops = lambda _pod: False
    beats = asyncio.create_task(_keep_alive(hasty, "w2"))
    await hasty.until(lambda: not is_ready_node(hasty, "w1"))
    await hasty.until(lambda: [one["ready"] for one in endpoints(hasty)] == [False])
    assert condition_of(hasty.registry.get("Pod", "lab", victim), "Ready")["status"] == "False"
    hasty.edit("Node", "w2", lambda obj: obj["spec"].pop("unschedulable"))
    await hasty.until(lambda: len(hasty.pods(terminating=True)) == 1)
    await hasty.until(lambda: hasty.ready_replicas() == 1)
    beats.cancel()
    assert f"TaintManagerEviction: Marking for deletion Pod lab/{victim}" in hasty.events()


async def _keep_alive(cluster: Cluster, name: str) -> None:
    while True:
        renew(cluster, name)
        await asyncio.sleep(0.02)


async def test_a_node_that_renews_its_lease_stays(hasty: Cluster) -> None:
    beats = asyncio.create_task(_keep_alive(hasty, "w1"))
    await hasty.until(lambda: not is_ready_node(hasty, "w2"))
    assert is_ready_node(hasty, "w1")
    beats.cancel()


async def test_a_node_that_comes_back_loses_its_taints(hasty: Cluster) -> None:
    await hasty.until(lambda: "taints" in hasty.registry.get("Node", "", "w1")["spec"])

    def report(obj: Object) -> None:
        obj["status"] = copy.deepcopy(node("w1")["status"])

    beats = asyncio.create_task(_keep_alive(hasty, "w1"))
    hasty.edit("Node", "w1", report, "status")
    await hasty.until(lambda: "taints" not in hasty.registry.get("Node", "", "w1")["spec"])
    beats.cancel()


async def test_a_cordoned_node_gets_no_pods(cluster: Cluster) -> None:
    cluster.edit("Node", "w1", lambda obj: obj["spec"].update(unschedulable=True))
    cluster.deploy(replicas=3)
    await cluster.until(lambda: cluster.ready_replicas() == 3)
    assert {pod["spec"]["nodeName"] for pod in cluster.pods()} == {"w2"}


async def test_a_pod_without_a_place_is_bound_when_there_is_one(cluster: Cluster) -> None:
    place = {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "web:1"}]}
    cluster.apply("Pod", "picky", place)
    await cluster.until(lambda: condition_of(cluster.pods()[0], "PodScheduled"))
    assert "nodeName" not in cluster.pods()[0]["spec"]
    cluster.edit("Node", "w2", lambda obj: obj["metadata"]["labels"].update(disk="ssd"))
    await cluster.until(lambda: cluster.pods()[0]["spec"].get("nodeName") == "w2")
    assert "Scheduled: Successfully assigned lab/picky to w2" in cluster.events()


async def test_a_waiting_pod_gets_the_room_of_one_that_ends(cluster: Cluster) -> None:
    cluster.edit("Node", "w2", lambda obj: obj["spec"].update(unschedulable=True))
    big = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "3"}}}
    cluster.apply("Pod", "first", {"containers": [big]})
    await cluster.until(lambda: cluster.pods()[0]["spec"].get("nodeName"))
    cluster.apply("Pod", "second", {"containers": [big]})
    await cluster.until(lambda: any("Insufficient cpu" in event for event in cluster.events()))
    cluster.registry.delete("Pod", "lab", "first")
    await cluster.until(lambda: cluster.pods()[0]["spec"].get("nodeName") == "w1")


async def test_deleting_a_node_takes_its_pods_along(cluster: Cluster) -> None:
    cluster.deploy(replicas=2)
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    cluster.registry.delete("Node", "", "w1")
    await cluster.until(
        lambda: [pod["spec"].get("nodeName") for pod in cluster.pods()] == ["w2", "w2"]
    )


async def test_an_endpoint_terminates_as_soon_as_its_pod_is_deleted(cluster: Cluster) -> None:
    cluster.deploy()
    serve(cluster)
    await cluster.until(lambda: [one["ready"] for one in endpoints(cluster)] == [True])
    cluster.kubelet.starts = cluster.kubelet.stops = lambda _pod: False
    cluster.registry.delete("Pod", "lab", cluster.pods()[0]["metadata"]["name"])
    await cluster.settle()
    assert endpoints(cluster) == [{"ready": False, "serving": True, "terminating": True}]


async def test_endpoints_go_with_their_service(cluster: Cluster) -> None:
    serve(cluster)
    await cluster.until(lambda: cluster.registry.list("Endpoints", "lab"))
    cluster.registry.delete("Service", "lab", "web")
    await cluster.until(lambda: not cluster.registry.list("Endpoints", "lab"))
    await cluster.until(lambda: not cluster.registry.list("EndpointSlice", "lab"))


async def test_a_deleted_slice_is_made_again(cluster: Cluster) -> None:
    serve(cluster)
    await cluster.until(lambda: cluster.registry.list("EndpointSlice", "lab"))
    first = cluster.registry.list("EndpointSlice", "lab")[0]["metadata"]["name"]
    cluster.registry.delete("EndpointSlice", "lab", first)
    await cluster.until(lambda: cluster.registry.list("EndpointSlice", "lab"))


async def test_a_budget_lets_one_pod_go_at_a_time(cluster: Cluster) -> None:
    cluster.deploy(replicas=2)
    selector = {"matchLabels": {"app": "web"}}
    cluster.apply("PodDisruptionBudget", "web", {"minAvailable": 1, "selector": selector})
    budget = ("PodDisruptionBudget", "web")
    await cluster.until(lambda: cluster.status(*budget).get("disruptionsAllowed") == 1)
    cluster.kubelet.starts = lambda _pod: False
    names = [pod["metadata"]["name"] for pod in cluster.pods()]
    cluster.registry.evict("lab", names[0])
    with pytest.raises(ApiError, match="violate the pod's disruption budget"):
        cluster.registry.evict("lab", names[1])
    await cluster.settle()
    assert cluster.status(*budget)["currentHealthy"] == 1
    assert "disruptedPods" not in cluster.status(*budget)
    cluster.kubelet.starts = lambda _pod: True
    cluster.edit("Deployment", "web", lambda obj: obj["spec"].update(replicas=3))
    await cluster.until(lambda: cluster.status(*budget)["disruptionsAllowed"] >= 1)


async def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster) -> None:
    cluster.deploy(replicas=2)
    serve(cluster)
    await cluster.until(lambda: cluster.ready_replicas() == 2)
    cluster.registry.delete("Namespace", "", "lab")
    await cluster.until(lambda: cluster.registry.find("Namespace", "", "lab") is None)
    left = [kind for kind in ("Pod", "Service", "Event", "ConfigMap", "Deployment", "ReplicaSet")
            if cluster.registry.list(kind, "lab")]  # fmt: skip
    assert left == []


async def test_a_namespace_waits_for_a_foreign_finalizer(cluster: Cluster) -> None:
    cluster.apply("ConfigMap", "kept", finalizers=["example.org/mine"])
    cluster.registry.delete("Namespace", "", "lab")
    await cluster.settle()
    assert cluster.registry.find("Namespace", "", "lab") is not None
    cluster.edit("ConfigMap", "kept", lambda obj: obj["metadata"].pop("finalizers"))
    await cluster.until(lambda: cluster.registry.find("Namespace", "", "lab") is None)


async def test_every_namespace_has_an_account_and_the_ca(cluster: Cluster) -> None:
    await cluster.until(lambda: cluster.registry.find("ServiceAccount", "lab", "default"))
    cluster.registry.delete("ConfigMap", "lab", "kube-root-ca.crt")
    await cluster.until(lambda: cluster.registry.find("ConfigMap", "lab", "kube-root-ca.crt"))
    assert cluster.registry.get("ConfigMap", "lab", "kube-root-ca.crt")["data"] == {"ca.crt": "CA"}
