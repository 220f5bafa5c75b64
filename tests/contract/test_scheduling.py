"""Which node a pod comes to, and what empties a node."""

from collections import Counter
from collections.abc import Iterator

import pytest

from lab_utils.waiting import wait_for
from tests.contract.cluster import Cluster, Namespace, Object, condition_of, holds, rolled_out
from tests.contract.manifests import budget, config_map, deployment, pod, server

HOSTNAME = "kubernetes.io/hostname"


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    """Give the name of a node, and take back what the test does to it."""
    name = cluster.nodes()[0]
    yield name
    patch_node(cluster, name, {"spec": {"taints": None, "unschedulable": None}})


def patch_node(cluster: Cluster, name: str, patch: Object) -> None:
    merge = "application/merge-patch+json"
    answer = cluster.request("PATCH", f"/api/v1/nodes/{name}", patch, content_type=merge)
    assert answer.code == 200, answer.text


def taint(cluster: Cluster, name: str, effect: str) -> None:
    patch_node(cluster, name, {"spec": {"taints": [{"key": "contract", "effect": effect}]}})


def nodes_of(namespace: Namespace, app: str) -> list[str]:
    pods = namespace.objects("Pod", labelSelector=f"app={app}")
    return [one["spec"]["nodeName"] for one in pods if "deletionTimestamp" not in one["metadata"]]


def unschedulable(live: Object) -> bool:
    return condition_of(live, "PodScheduled").get("reason") == "Unschedulable"


def test_a_pod_that_fits_nowhere_is_pending_and_says_why(namespace: Namespace) -> None:
    namespace.create(pod("nowhere", nodeSelector={"no": "where"}))
    live = namespace.until("Pod", "nowhere", unschedulable)
    total = len(namespace.cluster.core.list_node().items)
    message = condition_of(live, "PodScheduled")["message"]
    assert message.startswith(f"0/{total} nodes are available:")
    assert "didn't match Pod's node affinity/selector" in message
    assert live["status"]["phase"] == "Pending"
    late = AssertionError("no Event about it")
    wait_for(
        lambda: "FailedScheduling" in namespace.events("nowhere") or None,
        timeout_s=30,
        late=lambda: late,
    )


def test_a_tainted_node_takes_only_who_tolerates_it(namespace: Namespace, node: str) -> None:
    taint(namespace.cluster, node, "NoSchedule")
    here = {"nodeSelector": {HOSTNAME: node}}
    toleration = {"tolerations": [{"key": "contract", "operator": "Exists"}]}
    namespace.create(pod("refused", **here), pod("tolerant", **here, **toleration))
    namespace.until("Pod", "tolerant", holds("PodScheduled"))
    live = namespace.until("Pod", "refused", unschedulable)
    assert "had untolerated taint" in condition_of(live, "PodScheduled")["message"]
    patch_node(namespace.cluster, node, {"spec": {"taints": None}})
    namespace.until("Pod", "refused", holds("PodScheduled"))


def test_a_no_execute_taint_evicts_who_does_not_tolerate_it(
    namespace: Namespace, node: str
) -> None:
    here = {"nodeSelector": {HOSTNAME: node}}
    toleration = {"tolerations": [{"key": "contract", "operator": "Exists"}]}
    namespace.create(pod("leaves", **here), pod("stays", **here, **toleration))
    for name in ("leaves", "stays"):
        namespace.until("Pod", name, holds("Ready"))
    taint(namespace.cluster, node, "NoExecute")
    namespace.until_gone("Pod", "leaves")
    assert "TaintManagerEviction" in namespace.events("leaves")
    assert holds("Ready")(namespace.read("Pod", "stays"))


def test_a_cordoned_node_takes_no_new_pods_and_keeps_the_old(
    namespace: Namespace, node: str
) -> None:
    here = {"nodeSelector": {HOSTNAME: node}}
    namespace.create(pod("old", **here))
    namespace.until("Pod", "old", holds("Ready"))
    patch_node(namespace.cluster, node, {"spec": {"unschedulable": True}})
    namespace.create(pod("new", **here))
    live = namespace.until("Pod", "new", unschedulable)
    assert "node(s) were unschedulable" in condition_of(live, "PodScheduled")["message"]
    assert holds("Ready")(namespace.read("Pod", "old"))


@pytest.mark.parametrize("when", ["DoNotSchedule", "ScheduleAnyway"])
def test_pods_are_spread_over_the_nodes(namespace: Namespace, when: str) -> None:
    spread = {"maxSkew": 1, "topologyKey": HOSTNAME, "whenUnsatisfiable": when,
              "labelSelector": {"matchLabels": {"app": "spread"}},
              "nodeTaintsPolicy": "Honor"}  # fmt: skip
    template = {"topologySpreadConstraints": [spread], "terminationGracePeriodSeconds": 0}
    namespace.create(deployment("spread", replicas=4, template=template))
    namespace.until("Deployment", "spread", rolled_out)
    counts = Counter(nodes_of(namespace, "spread"))
    assert set(counts.values()) == {4 // len(namespace.cluster.nodes())}


def test_anti_affinity_keeps_pods_apart(namespace: Namespace) -> None:
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "apart"}}}
    rule = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    nodes = len(namespace.cluster.nodes())
    namespace.create(deployment("apart", replicas=nodes + 1, template={"affinity": rule}))
    namespace.until("Deployment", "apart", lambda one: one["status"].get("readyReplicas") == nodes)
    pods = namespace.objects("Pod", labelSelector="app=apart")
    (left,) = [one for one in pods if "nodeName" not in one["spec"]]
    live = namespace.until("Pod", left["metadata"]["name"], unschedulable)
    assert "anti-affinity rules" in condition_of(live, "PodScheduled")["message"]


def evict(namespace: Namespace, name: str) -> object:
    head = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    return namespace.cluster.request("POST", namespace.path("Pod", name) + "/eviction", head)


def test_evictions_wait_for_the_disruption_budget(namespace: Namespace) -> None:
    namespace.create(deployment("web", server(), replicas=2), budget("web", minAvailable=1))
    namespace.until("Deployment", "web", rolled_out)
    namespace.until(
        "PodDisruptionBudget", "web", lambda one: one["status"].get("disruptionsAllowed") == 1
    )
    first, second = (one["metadata"]["name"] for one in
                     namespace.objects("Pod", labelSelector="app=web"))  # fmt: skip
    assert evict(namespace, first).code == 201
    refused = evict(namespace, second)
    assert (refused.code, refused.reason) == (429, "TooManyRequests")
    assert "would violate the pod's disruption budget" in refused.message
    namespace.until("Deployment", "web", rolled_out)

    def allowed() -> bool | None:
        return True if evict(namespace, second).code == 201 else None

    wait_for(allowed, timeout_s=30, late=lambda: AssertionError("never allowed again"))


def test_a_pod_with_a_finalizer_ends_and_stays_until_it_is_released(namespace: Namespace) -> None:
    obj = pod("held", terminationGracePeriodSeconds=1)
    obj["metadata"]["finalizers"] = ["example.com/hold"]
    namespace.create(obj)
    namespace.until("Pod", "held", holds("Ready"))
    namespace.delete("Pod", "held")
    live = namespace.until("Pod", "held", holds("Ready", "False"))
    assert live["metadata"]["deletionTimestamp"]
    namespace.patch("Pod", "held", {"metadata": {"finalizers": None}})
    namespace.until_gone("Pod", "held")


def test_a_deleted_namespace_takes_everything_with_it(cluster: Cluster) -> None:
    made = cluster.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "gone-"}})
    doomed = Namespace(cluster, made.body["metadata"]["name"])
    doomed.until("ServiceAccount", "default", bool)
    doomed.create(deployment("web"), config_map("cm", a="1"), budget("web", minAvailable=1))
    doomed.until("Deployment", "web", rolled_out)
    path = f"/api/v1/namespaces/{doomed.name}"
    deleted = cluster.request("DELETE", path, {}).body
    assert deleted["status"]["phase"] == "Terminating"
    refused = cluster.request("POST", doomed.path("ConfigMap"), config_map("late"))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert "because it is being terminated" in refused.message
    late = AssertionError("the namespace is still there")
    wait_for(lambda: cluster.request("GET", path).code == 404 or None,
             timeout_s=60, late=lambda: late)  # fmt: skip
    assert doomed.objects("Pod") == doomed.objects("ConfigMap") == []


def test_what_lost_its_owner_is_collected(namespace: Namespace) -> None:
    owner = namespace.create(config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
                 "uid": owner["metadata"]["uid"]}  # fmt: skip
    child, orphan = config_map("child"), config_map("orphan")
    child["metadata"]["ownerReferences"] = [reference]
    orphan["metadata"]["ownerReferences"] = [reference | {"uid": "0-0-0-0"}]
    namespace.create(child, orphan)
    namespace.until_gone("ConfigMap", "orphan")
    assert namespace.read("ConfigMap", "child")
    namespace.delete("ConfigMap", "owner")
    namespace.until_gone("ConfigMap", "child")
