"""What Deployments do with their pods, as Kind recorded it, and what the controllers count."""

from collections.abc import Callable

import pytest

from lab_utils.session import Lab
from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace, Object, condition_of, holds, rolled_out
from tests.contract.history import Recorder, story
from tests.contract.manifests import deployment, server, service

KINDS = ("Deployment", "ReplicaSet", "Pod", "Event")
SURGE = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.fixture
def web(namespace: Namespace) -> Namespace:
    """Give a namespace with one ready pod of a Deployment that surges before it shrinks."""
    node = {"kubernetes.io/hostname": namespace.cluster.nodes()[0]}  # as in the recording
    template = {"terminationGracePeriodSeconds": 10, "nodeSelector": node}
    namespace.create(
        deployment("web", server(name="worker"), strategy=SURGE, template=template), service("web")
    )
    namespace.until("Deployment", "web", rolled_out)
    return namespace


def healthy(values: list[str]) -> list[str]:
    """Leave out what depends on who is quicker: failed probes, and a reason soon overwritten."""
    return [value for value in values if value not in ("Unhealthy", "NewReplicaSetCreated")]


def pods_of(namespace: Namespace) -> list[Object]:
    return namespace.objects("Pod", labelSelector="app=web")


def until(namespace: Namespace, condition: Callable[[list[Object]], object]) -> None:
    late = AssertionError("the pods did not get so")
    wait_for(lambda: condition(pods_of(namespace)) or None, timeout_s=30, late=lambda: late)


def set_version(namespace: Namespace, value: str, **spec: object) -> None:
    env = [{"name": "VERSION", "value": value}]
    container = {"name": "worker", "env": env}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}} | spec}
    path = namespace.path("Deployment", "web")
    strategic = "application/strategic-merge-patch+json"
    answer = namespace.cluster.request("PATCH", path, patch, content_type=strategic)
    assert answer.code == 200, answer.text


def test_scaling_up_and_down(web: Namespace) -> None:
    recorder = Recorder(web, *KINDS)
    web.patch("Deployment", "web", {"spec": {"replicas": 3}})
    web.until("Deployment", "web", rolled_out)
    web.patch("Deployment", "web", {"spec": {"replicas": 1}})
    until(web, lambda pods: len(pods) == 1)
    web.until("Deployment", "web", rolled_out)
    assert recorder.differences("02-scale-1-3-1", healthy) == {}


def test_a_rolling_update_and_its_rollback(web: Namespace) -> None:
    recorder = Recorder(web, *KINDS)
    set_version(web, "2")
    web.until("Deployment", "web", rolled_out)
    until(web, lambda pods: len(pods) == 1)
    assert recorder.differences("03-rolling-update", healthy) == {}
    recorder = Recorder(web, *KINDS)
    first = min(web.objects("ReplicaSet"), key=revision_of)
    web.patch("Deployment", "web", {"spec": {"template": template_of(first)}})
    web.until("Deployment", "web", rolled_out)
    until(web, lambda pods: len(pods) == 1)
    assert recorder.differences("04-rollback", healthy) == {}
    assert sorted(map(revision_of, web.objects("ReplicaSet"))) == [2, 3]


def revision_of(replica_set: Object) -> int:
    return int(replica_set["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def template_of(replica_set: Object) -> Object:
    template = replica_set["spec"]["template"]
    template["metadata"]["labels"].pop("pod-template-hash")
    return template


def test_a_deleted_pod_ends_gracefully_and_is_replaced(web: Namespace) -> None:
    recorder = Recorder(web, *KINDS)
    (pod,) = pods_of(web)
    web.delete("Pod", pod["metadata"]["name"])
    web.until_gone("Pod", pod["metadata"]["name"])
    web.until("Deployment", "web", rolled_out)
    assert recorder.differences("05-graceful-delete", healthy) == {}


def test_a_force_deleted_pod_is_gone_at_once(web: Namespace) -> None:
    recorder = Recorder(web, *KINDS)
    (pod,) = pods_of(web)
    web.delete("Pod", pod["metadata"]["name"], gracePeriodSeconds=0)
    assert web.read("Pod", pod["metadata"]["name"]) is None
    recorder.until("Deployment 1 Available", "MinimumReplicasAvailable")
    wait_for(
        lambda: "Killing" in web.events(pod["metadata"]["name"]) or None,
        timeout_s=30,
        late=lambda: AssertionError("never killed"),
    )
    assert recorder.differences("06-force-delete", healthy) == {}


@pytest.mark.machines
def test_a_killed_container_is_started_again(lab: Lab, web: Namespace) -> None:
    recorder = Recorder(web, *KINDS)
    (pod,) = pods_of(web)
    lab.backend.signal_container(web.name, pod["metadata"]["name"], "worker", "KILL")
    recorder.until("Deployment 1 Available", "MinimumReplicasAvailable")
    assert recorder.differences("07-kill9", healthy) == {}


@pytest.mark.fault(28)
def test_a_rollout_stuck_past_its_deadline_and_undone(web: Namespace) -> None:
    web.patch("Deployment", "web", {"spec": {"progressDeadlineSeconds": 4}})
    web.until("Deployment", "web", rolled_out)
    recorder = Recorder(web, *KINDS)
    container = {"name": "worker", "image": "registry.invalid/absent:9"}
    before = web.read("Deployment", "web")["spec"]["template"]
    strategic = "application/strategic-merge-patch+json"
    web.patch("Deployment", "web", {"spec": {"template": {"spec": {"containers": [container]}}}},
              strategic)  # fmt: skip
    stuck = web.until("Deployment", "web", holds("Progressing", "False"))
    assert "has timed out progressing" in condition_of(stuck, "Progressing")["message"]
    assert condition_of(stuck, "Available")["status"] == "True"
    web.patch("Deployment", "web", {"spec": {"template": before}})
    web.until("Deployment", "web", holds("Progressing", "True"))
    until(web, lambda pods: len(pods) == 1)
    told = story(recorder.stop().rows, recorder.before)
    wanted = ["ReplicaSetUpdated", "ProgressDeadlineExceeded", "NewReplicaSetAvailable"]
    assert [value for value in told["Deployment 1 Progressing"] if value in wanted] == wanted


def test_a_paused_rollout_waits_until_it_is_resumed(web: Namespace) -> None:
    recorder = Recorder(web, *KINDS)
    web.patch("Deployment", "web", {"spec": {"paused": True}})
    web.until("Deployment", "web", holds("Progressing", "Unknown"))
    set_version(web, "2")
    assert len(web.objects("ReplicaSet")) == 1
    web.patch("Deployment", "web", {"spec": {"paused": None}})
    web.until("Deployment", "web", rolled_out)
    until(web, lambda pods: len(pods) == 1)
    assert recorder.differences("17-rollout-pause-resume", healthy) == {}


def test_recreate_ends_the_old_pods_before_it_starts_new_ones(namespace: Namespace) -> None:
    namespace.create(deployment("web", server(name="worker"), strategy={"type": "Recreate"}))
    namespace.until("Deployment", "web", rolled_out)
    recorder = Recorder(namespace, "Pod")
    set_version(namespace, "2")
    namespace.until("Deployment", "web", rolled_out)
    rows = recorder.stop().rows
    ended = next(row.t_s for row in rows if row.fields["status.phase"] in ("Succeeded", "Failed"))
    added = next(row.t_s for row in rows if row.type == "ADDED")
    assert ended <= added


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_what_a_deleted_deployment_owns(web: Namespace, policy: str) -> None:
    recorder = Recorder(web, *KINDS)
    web.delete("Deployment", "web", propagationPolicy=policy)
    web.until_gone("Deployment", "web")
    if policy == "Orphan":
        (left,) = web.objects("ReplicaSet")
        assert "ownerReferences" not in left["metadata"]
        assert len(pods_of(web)) == 1
    else:
        until(web, lambda pods: not pods)
        late = AssertionError("the ReplicaSet is still there")
        wait_for(lambda: not web.objects("ReplicaSet") or None, timeout_s=30, late=lambda: late)
    recording = f"18-delete-deployment-{policy.lower()}"
    assert recorder.differences(recording, healthy, "existence") == {}


def test_never_fewer_ready_pods_than_a_rolling_update_may_take(namespace: Namespace) -> None:
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    namespace.create(deployment("web", server(name="worker"), replicas=4, strategy=strategy))
    namespace.until("Deployment", "web", rolled_out)
    recorder = Recorder(namespace, "Deployment")
    set_version(namespace, "2")
    namespace.until("Deployment", "web", rolled_out)
    statuses = [row.obj["status"] for row in recorder.stop().rows]
    assert min(status.get("availableReplicas", 0) for status in statuses) >= 3
    assert max(status["replicas"] for status in statuses) <= 5
