"""What controllers make of objects: Jobs that end, budgets that hold, deletions that wait."""

import pytest
from kubernetes import client

from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace
from tests.contract.manifests import budget, config_map, container, deployment, job, server

WHOAMI = "import os; print(os.environ['JOB_COMPLETION_INDEX'], os.environ['HOSTNAME'])"
EVICTION = {"apiVersion": "policy/v1", "kind": "Eviction"}


def ended(obj: dict) -> bool:
    return any(one["type"] == "Complete" for one in obj["status"].get("conditions", ()))


def test_an_indexed_job_runs_every_index_once_under_its_own_name(namespace: Namespace) -> None:
    batch = client.BatchV1Api(namespace.cluster.client)
    asked = {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}
    body = job("sums", container("python", "-c", WHOAMI), **asked)
    batch.create_namespaced_job(namespace.name, body)
    namespace.until("Job", "sums", ended)
    status = batch.read_namespaced_job("sums", namespace.name).status
    assert (status.completed_indexes, status.succeeded, status.ready) == ("0-2", 3, 0)
    pods = namespace.objects("Pod", labelSelector="batch.kubernetes.io/job-name=sums")
    lines = sorted(namespace.logs(pod["metadata"]["name"]).strip() for pod in pods)
    assert lines == ["0 sums-0", "1 sums-1", "2 sums-2"]


def test_a_suspended_job_starts_when_it_is_resumed(namespace: Namespace) -> None:
    namespace.create(job("later", container("python", "-c", ""), suspend=True))
    told = namespace.until("Job", "later", lambda obj: obj["status"].get("conditions"))
    assert [one["type"] for one in told["status"]["conditions"]] == ["Suspended"]
    namespace.patch("Job", "later", {"spec": {"suspend": False}})
    done = namespace.until("Job", "later", ended)
    assert [(one["type"], one["status"]) for one in done["status"]["conditions"]] == [
        ("Suspended", "False"),
        ("SuccessCriteriaMet", "True"),
        ("Complete", "True"),
    ]


@pytest.mark.parametrize("policy", ["Background", "Orphan"])
def test_a_deleted_job_leaves_no_pod_that_cannot_go(namespace: Namespace, policy: str) -> None:
    namespace.create(job("long"))
    namespace.until("Job", "long", lambda obj: obj["status"].get("ready"))
    (pod,) = namespace.objects("Pod")
    namespace.delete("Job", "long", propagationPolicy=policy)
    namespace.until_gone("Job", "long")
    name = pod["metadata"]["name"]
    if policy == "Orphan":
        namespace.until("Pod", name, lambda obj: "finalizers" not in obj["metadata"])
        namespace.delete("Pod", name, gracePeriodSeconds=0)
    namespace.until_gone("Pod", name)


def test_a_job_that_is_just_deleted_leaves_its_pods_and_a_warning(namespace: Namespace) -> None:
    namespace.create(job("long"))
    namespace.until("Job", "long", lambda obj: obj["status"].get("ready"))
    (pod,) = namespace.objects("Pod")
    warned = namespace.delete("Job", "long").headers["Warning"]
    assert "child pods are preserved by default when jobs are deleted" in warned
    namespace.until_gone("Job", "long")
    left = namespace.until(
        "Pod", pod["metadata"]["name"], lambda obj: "ownerReferences" not in obj["metadata"]
    )
    assert left["status"]["phase"] == "Running"


def test_an_eviction_that_a_budget_forbids_is_429_with_the_budgets_words(
    namespace: Namespace,
) -> None:
    namespace.create(budget("web", minAvailable=1), deployment("web", server()))
    namespace.until("Deployment", "web", lambda obj: obj["status"].get("readyReplicas"))
    namespace.until(
        "PodDisruptionBudget", "web", lambda obj: obj["status"].get("currentHealthy") == 1
    )
    (pod,) = namespace.objects("Pod")
    name = pod["metadata"]["name"]
    path = namespace.path("Pod", f"{name}") + "/eviction"
    answer = namespace.cluster.request("POST", path, EVICTION | {"metadata": {"name": name}})
    assert (answer.code, answer.reason) == (429, "TooManyRequests")
    cause = {"reason": "DisruptionBudget"}
    cause["message"] = "The disruption budget web needs 1 healthy pods and has 1 currently"
    assert answer.body["details"]["causes"] == [cause]


def test_a_namespace_that_is_held_up_names_the_finalizer(namespace: Namespace) -> None:
    kept = config_map("kept", a="1")
    kept["metadata"]["finalizers"] = ["example.org/mine"]
    namespace.create(kept)
    namespace.cluster.request("DELETE", namespace.cluster.path("Namespace", name=namespace.name))

    def held_up() -> str | None:
        told = namespace.cluster.core.read_namespace(namespace.name).status.conditions or ()
        true = {one.type: one.message for one in told if one.status == "True"}
        return true.get("NamespaceFinalizersRemaining")

    why = wait_for(held_up, timeout_s=30, late=lambda: AssertionError("nothing is said"))
    namespace.patch("ConfigMap", "kept", {"metadata": {"finalizers": None}})
    assert why.endswith("remaining: example.org/mine in 1 resource instances")
