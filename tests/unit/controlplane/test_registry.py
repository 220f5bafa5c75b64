"""The registry: what a write does, and what it refuses, without HTTP."""

import copy

import pytest

from lab_utils.controlplane.bootstrap import create_system_objects
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError
from lab_utils.controlplane.store import Change, Store
from tests.unit.controlplane.apiserver import FakeClock, pod

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "c", "image": "web:1"}]},
}
DEPLOYMENT = {
    "metadata": {"name": "d", "namespace": "ref"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE},
}


def edited(obj: dict, **metadata: object) -> dict:
    new = copy.deepcopy(obj)
    new["metadata"] |= metadata
    return new


def refusal(function, *args, **kwargs) -> ApiError:
    with pytest.raises(ApiError) as caught:
        function(*args, **kwargs)
    return caught.value


def changes(registry: Registry, kind: str) -> list[Change]:
    heard: list[Change] = []
    registry.store.subscribe(lambda change: change.kind == kind and heard.append(change))
    return heard


def bound_pod(registry: Registry, **spec: object) -> dict:
    registry.create("Pod", pod(**spec))
    registry.bind("ref", "p", "node-1")
    return registry.get("Pod", "ref", "p")


def test_a_new_pod_gets_identity_defaults_and_admission(registry: Registry) -> None:
    made = registry.create("Pod", pod())
    assert made["metadata"]["uid"]
    assert made["metadata"]["generation"] == 1
    assert made["spec"]["serviceAccountName"] == "default"
    assert {t["tolerationSeconds"] for t in made["spec"]["tolerations"]} == {300}


def test_generate_name_gives_each_object_its_own_name(registry: Registry) -> None:
    template = edited(pod(), generateName="web-")
    del template["metadata"]["name"]
    names = {registry.create("Pod", template)["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("web-") for name in names)


def test_a_dry_run_stores_nothing(registry: Registry) -> None:
    before = registry.store.revision
    answer = registry.create("Pod", pod(), dry_run=True)
    assert "resourceVersion" not in answer["metadata"]
    assert registry.store.revision == before


def test_update_with_a_stale_resource_version_is_a_conflict(registry: Registry) -> None:
    first = registry.create("Deployment", DEPLOYMENT)
    registry.update("Deployment", edited(first, labels={"a": "b"}))
    assert refusal(registry.update, "Deployment", edited(first, labels={})).code == 409


def test_a_lease_is_taken_over_only_by_who_has_seen_it(registry: Registry) -> None:
    lease = {"metadata": {"name": "l", "namespace": "ref"}, "spec": {"holderIdentity": "a"}}
    seen = registry.update("Lease", lease)  # creates it
    refused = refusal(registry.update, "Lease", lease | {"spec": {"holderIdentity": "b"}})
    assert refused.code == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified" in refused.message
    registry.update("Lease", seen | {"spec": {"holderIdentity": "b"}})


def test_a_write_that_changes_nothing_makes_no_version(registry: Registry) -> None:
    made = registry.create("Deployment", DEPLOYMENT, manager="m")
    before = registry.store.revision
    registry.update("Deployment", copy.deepcopy(made), manager="m")
    assert registry.store.revision == before


def test_only_a_change_of_what_is_wanted_counts_a_generation(registry: Registry) -> None:
    made = registry.create("Deployment", DEPLOYMENT)
    labelled = registry.update("Deployment", edited(made, labels={"a": "b"}))
    wanted = copy.deepcopy(labelled)
    wanted["spec"]["replicas"] = 3
    changed = registry.update("Deployment", wanted)
    generations = [one["metadata"]["generation"] for one in (made, labelled, changed)]
    assert generations == [1, 1, 2]


def test_status_and_the_rest_are_written_through_different_doors(registry: Registry) -> None:
    made = registry.create("Deployment", DEPLOYMENT)
    both = copy.deepcopy(made)
    both["spec"]["replicas"], both["status"] = 3, {"replicas": 2, "updatedReplicas": 1}
    by_status = registry.update("Deployment", both, subresource="status")
    assert (by_status["spec"]["replicas"], by_status["status"]["replicas"]) == (1, 2)
    both["metadata"] = by_status["metadata"]
    both["status"] = {}
    by_main = registry.update("Deployment", both)
    assert (by_main["spec"]["replicas"], by_main["status"]["replicas"]) == (3, 2)


def test_an_object_with_a_finalizer_waits_for_it(registry: Registry) -> None:
    kept = {"metadata": {"name": "c", "namespace": "ref", "finalizers": ["example.com/hold"]}}
    registry.create("ConfigMap", kept)
    waiting = registry.delete("ConfigMap", "ref", "c")
    assert waiting["metadata"]["deletionTimestamp"]
    more = edited(waiting, finalizers=["example.com/hold", "example.com/b"])
    refused = refusal(registry.update, "ConfigMap", more)
    assert 'found new finalizers []string{"example.com/b"}' in refused.message
    registry.update("ConfigMap", edited(waiting, finalizers=[]))
    assert registry.find("ConfigMap", "ref", "c") is None


@pytest.mark.parametrize(
    ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
)
def test_a_propagation_policy_becomes_a_finalizer(
    registry: Registry, policy: str, finalizer: str
) -> None:
    registry.create("Deployment", DEPLOYMENT)
    left = registry.delete("Deployment", "ref", "d", propagation=policy)
    assert left["metadata"]["finalizers"] == [finalizer]
    assert left["metadata"]["generation"] == 2
    assert registry.find("Deployment", "ref", "d")


def test_background_deletion_is_at_once(registry: Registry) -> None:
    registry.create("Deployment", DEPLOYMENT)
    registry.delete("Deployment", "ref", "d", propagation="Background")
    assert registry.find("Deployment", "ref", "d") is None


def test_a_pod_without_a_node_goes_at_once(registry: Registry) -> None:
    registry.create("Pod", pod())
    heard = changes(registry, "Pod")
    registry.delete("Pod", "ref", "p")
    assert [change.type for change in heard] == ["MODIFIED", "DELETED"]
    assert heard[0].object["metadata"]["deletionGracePeriodSeconds"] == 0


def test_a_bound_pod_waits_for_its_kubelet(registry: Registry, clock: FakeClock) -> None:
    bound_pod(registry, terminationGracePeriodSeconds=10)
    left = registry.delete("Pod", "ref", "p")
    assert left["metadata"]["deletionTimestamp"] == "2026-11-23T16:00:10Z"
    clock.pass_by(seconds=2)
    assert registry.delete("Pod", "ref", "p", grace_s=30) == left
    shorter = registry.delete("Pod", "ref", "p", grace_s=4)
    assert shorter["metadata"]["deletionTimestamp"] == "2026-11-23T16:00:04Z"
    registry.delete("Pod", "ref", "p", grace_s=0)
    assert registry.find("Pod", "ref", "p") is None


def test_a_deletion_may_insist_on_one_object(registry: Registry) -> None:
    registry.create("Pod", pod())
    assert refusal(registry.delete, "Pod", "ref", "p", uid="other").code == 409
    assert refusal(registry.delete, "Pod", "ref", "p", resource_version="1").code == 409


def test_a_pod_is_bound_once(registry: Registry) -> None:
    made = bound_pod(registry)
    assert made["spec"]["nodeName"] == "node-1"
    assert made["status"]["conditions"][0]["type"] == "PodScheduled"
    again = refusal(registry.bind, "ref", "p", "node-2")
    assert 'pod p is already assigned to node "node-1"' in again.message


def test_a_terminating_namespace_takes_nothing_new(registry: Registry) -> None:
    left = registry.delete("Namespace", "", "ref")
    assert left["status"]["phase"] == "Terminating"
    assert "because it is being terminated" in refusal(registry.create, "Pod", pod()).message
    done = copy.deepcopy(left)
    done["spec"]["finalizers"] = []
    registry.update("Namespace", done, subresource="finalize")
    assert registry.find("Namespace", "", "ref") is None


def test_services_get_addresses_and_ports_of_their_own(registry: Registry) -> None:
    made = [
        registry.create(
            "Service",
            {
                "metadata": {"name": f"s{i}", "namespace": "ref"},
                "spec": {"type": "NodePort", "ports": [{"port": 80}]},
            },
        )["spec"]
        for i in range(10)
    ]
    assert len({spec["clusterIP"] for spec in made}) == 10
    assert all(30000 <= spec["ports"][0]["nodePort"] <= 32767 for spec in made)


def test_a_service_keeps_its_numbers_until_its_type_gives_them_up(registry: Registry) -> None:
    service = {"metadata": {"name": "s", "namespace": "ref"}, "spec": {"ports": [{"port": 80}]}}
    service["spec"]["type"] = "NodePort"
    first = registry.create("Service", copy.deepcopy(service))
    assert registry.update("Service", copy.deepcopy(service))["spec"] == first["spec"]
    service["spec"]["type"] = "ClusterIP"
    last = registry.update("Service", service)["spec"]
    assert last["clusterIP"] == first["spec"]["clusterIP"]
    assert "nodePort" not in last["ports"][0]


def test_an_apply_patch_creates_then_changes(registry: Registry) -> None:
    def apply(value: str, manager: str) -> dict:
        wish = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value}}
        patch_type = "application/apply-patch+yaml"
        return registry.patch(
            "ConfigMap", "ref", "c", wish, content_type=patch_type, manager=manager
        )

    assert apply("1", "one")["metadata"]["namespace"] == "ref"
    assert apply("2", "one")["data"] == {"a": "2"}
    assert 'conflict with "one"' in refusal(apply, "3", "two").message


@pytest.fixture
def guarded(registry: Registry) -> Registry:
    """Give a registry with a running pod under a budget that allows no disruption."""
    made = copy.deepcopy(bound_pod(registry))
    made["status"] |= {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    registry.update("Pod", made, subresource="status")
    budget = {
        "metadata": {"name": "b", "namespace": "ref"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    registry.create("PodDisruptionBudget", budget)
    allow(registry, 0)
    return registry


def allow(registry: Registry, disruptions: int) -> None:
    budget = copy.deepcopy(registry.get("PodDisruptionBudget", "ref", "b"))
    numbers = {"currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    budget["status"] = numbers | {"disruptionsAllowed": disruptions, "observedGeneration": 1}
    registry.update("PodDisruptionBudget", budget, subresource="status")


def test_a_budget_refuses_an_eviction(guarded: Registry) -> None:
    answer = refusal(guarded.evict, "ref", "p")
    assert answer.code == 429
    cause = "The disruption budget b needs 1 healthy pods and has 1 currently"
    assert answer.details["causes"][0]["message"] == cause
    assert "deletionTimestamp" not in guarded.get("Pod", "ref", "p")["metadata"]


def test_an_eviction_is_charged_to_the_budget(guarded: Registry) -> None:
    allow(guarded, 1)
    guarded.evict("ref", "p")
    budget = guarded.get("PodDisruptionBudget", "ref", "b")["status"]
    assert (budget["disruptionsAllowed"], list(budget["disruptedPods"])) == (0, ["p"])
    evicted = guarded.get("Pod", "ref", "p")
    assert evicted["status"]["conditions"][-1]["reason"] == "EvictionByEvictionAPI"
    assert "deletionTimestamp" in evicted["metadata"]


def test_events_are_forgotten_an_hour_after_their_last_change(
    registry: Registry, clock: FakeClock
) -> None:
    def emit(name: str) -> None:
        about = {"kind": "Pod", "name": "p", "namespace": "ref"}
        metadata = {"name": name, "namespace": "ref"}
        registry.create("Event", {"metadata": metadata, "involvedObject": about})

    emit("old")
    emit("touched")
    clock.pass_by(minutes=50)
    touched = copy.deepcopy(registry.get("Event", "ref", "touched"))
    registry.update("Event", touched | {"count": 2})
    clock.pass_by(minutes=11)
    emit("new")
    names = [event["metadata"]["name"] for event in registry.list("Event")]
    assert names == ["new", "touched"]


def test_the_system_objects_are_those_of_every_cluster() -> None:
    registry = Registry(Store())
    create_system_objects(registry, 6443)
    assert registry.get("Service", "default", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"
    assert len(registry.list("Namespace")) == 4


@pytest.mark.parametrize(
    "field", ["nodeName", "hostname", "subdomain", "serviceAccountName", "priorityClassName"]
)
def test_an_empty_name_in_a_pod_is_no_name(registry, field):
    created = registry.create("Pod", pod(**{field: ""}))
    assert created["spec"]["serviceAccountName"] == "default"
