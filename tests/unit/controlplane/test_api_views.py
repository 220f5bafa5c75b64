"""Kinds that are not stored as they are shown: second versions, and what is measured."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from tests.unit.controlplane.apiserver import ApiServer, Client

EVENTS = "/apis/events.k8s.io/v1/namespaces/ref/events"
CORE_EVENTS = "/api/v1/namespaces/ref/events"
SCALERS = "/apis/autoscaling/v1/namespaces/ref/horizontalpodautoscalers"
SCALERS_V2 = SCALERS.replace("v1", "v2")
MERGE = "application/merge-patch+json"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
EVENT = {
    "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "ref"},
    "eventTime": "2026-11-23T16:00:00.000000Z", "reportingController": "lab/loader",
    "reportingInstance": "loader-1", "action": "Loading", "reason": "Loaded", "note": "all of it",
    "type": "Normal",
}  # fmt: skip
MEASURED = {
    "timestamp": "2026-11-23T16:00:00Z", "window": "15s",
    "containers": [{"name": c, "usage": {"cpu": "10m", "memory": "20480Ki"}} for c in "cd"],
}  # fmt: skip


async def measure(kind: str) -> list[dict]:
    """Give two pods and no node."""
    names = [("ref", "a"), ("default", "b")] if kind == "PodMetrics" else []
    return [{"metadata": {"name": n, "namespace": ns}} | MEASURED for ns, n in names]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Give a running API server that measures two pods."""
    server = ApiServer(tmp_path_factory.mktemp("api"), metrics=measure).start()
    yield server
    server.stop()


def test_an_event_has_two_versions(http: Client) -> None:
    assert http.post(EVENTS, EVENT).status == 201
    core = http.get(f"{CORE_EVENTS}/e").json()
    assert (core["apiVersion"], core["message"]) == ("v1", "all of it")
    assert core["involvedObject"] == EVENT["regarding"]
    listed = http.get(f"{EVENTS}?fieldSelector=regarding.name%3Dp").json()
    assert (listed["apiVersion"], listed["items"][0]["note"]) == ("events.k8s.io/v1", "all of it")
    assert http.get(f"{EVENTS}?fieldSelector=regarding.name%3Dq").json()["items"] == []
    watched = http.get(f"{EVENTS}?watch=1&timeoutSeconds=1")
    assert json.loads(watched.body.splitlines()[0])["object"]["note"] == "all of it"


def test_a_series_of_events_is_patched_in_the_new_version(http: Client) -> None:
    http.post(EVENTS, EVENT | {"metadata": {"name": "again"}})
    series = {"series": {"count": 2, "lastObservedTime": "2026-11-23T16:01:00.000000Z"}}
    patch = "application/strategic-merge-patch+json"
    patched = http.request("PATCH", f"{EVENTS}/again", series, content_type=patch).json()
    assert (patched["note"], patched["series"]["count"]) == ("all of it", 2)


def test_events_share_one_table(http: Client) -> None:
    http.post(EVENTS, EVENT | {"metadata": {"name": "shown"}})
    tables = [http.get(path, headers=TABLE).json() for path in (EVENTS, CORE_EVENTS)]
    assert tables[0]["columnDefinitions"] == tables[1]["columnDefinitions"]
    assert tables[0]["rows"][0]["cells"][3] == "pod/p"


def test_an_autoscaler_of_the_first_version_is_one_of_the_second(http: Client) -> None:
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 3, "targetCPUUtilizationPercentage": 50}  # fmt: skip
    made = http.post(SCALERS, {"metadata": {"name": "web"}, "spec": spec}).json()
    assert made["spec"] == spec | {"minReplicas": 1}
    stored = http.get(f"{SCALERS_V2}/web").json()["spec"]["metrics"][0]["resource"]
    assert stored["target"] == {"type": "Utilization", "averageUtilization": 50}


def test_the_first_version_loses_nothing_of_the_second(http: Client) -> None:
    memory = {"type": "Resource", "resource": {
        "name": "memory", "target": {"type": "AverageValue", "averageValue": "50Mi"}}}  # fmt: skip
    rules = {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]}
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 3, "metrics": [memory], "behavior": {"scaleDown": rules}}  # fmt: skip
    before = http.post(SCALERS_V2, {"metadata": {"name": "mem"}, "spec": spec}).json()["spec"]
    patch = {"spec": {"maxReplicas": 5}}
    assert http.request("PATCH", f"{SCALERS}/mem", patch, content_type=MERGE).status == 200
    after = http.get(f"{SCALERS_V2}/mem").json()
    assert after["spec"] == before | {"maxReplicas": 5}
    assert "annotations" not in after["metadata"]


def test_what_is_measured_is_listed_and_got(http: Client) -> None:
    pods = "/apis/metrics.k8s.io/v1beta1/namespaces/ref/pods"
    everything = http.get("/apis/metrics.k8s.io/v1beta1/pods").json()
    assert [one["metadata"]["name"] for one in everything["items"]] == ["a", "b"]
    assert [one["metadata"]["name"] for one in http.get(pods).json()["items"]] == ["a"]
    assert http.get(f"{pods}/a").json()["kind"] == "PodMetrics"
    missing = http.get(f"{pods}/b")
    assert missing.json()["message"] == 'podmetrics.metrics.k8s.io "ref/b" not found'
    cells = http.get(f"{pods}/a", headers=TABLE).json()["rows"][0]["cells"]
    assert cells == ["a", "20m", "40Mi", "15s"]


def test_what_is_measured_cannot_be_written(http: Client) -> None:
    path = "/apis/metrics.k8s.io/v1beta1/nodes"
    assert http.post(path, {}).status == 405
    assert http.get(f"{path}?watch=1").status == 405
    assert http.get(path).json()["items"] == []


def test_a_recorded_event_is_the_same_in_both_versions(http: Client) -> None:
    reference = Path(__file__).parents[2] / "reference" / "defaulting"
    manifest = (reference / "event-core.input.yaml").read_text()
    http.request("POST", CORE_EVENTS, manifest, content_type="application/yaml")
    new = http.get(f"{EVENTS}/a").json()
    assert (new["regarding"]["name"], new["deprecatedSource"], new["eventTime"]) == ("a", {}, None)


def test_jobs_autoscalers_and_reviews_pass_the_models_of_the_client(api: ApiServer) -> None:
    with config.new_client_from_config(str(api.kubeconfig)) as official:
        pods = {"containers": [{"name": "c", "image": "web:1"}], "restartPolicy": "Never"}
        job = {"metadata": {"name": "j"}, "spec": {"template": {"spec": pods}}}
        made = client.BatchV1Api(official).create_namespaced_job("ref", job)
        assert made.spec.backoff_limit == 6
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
        scaler = {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}}
        new, old = client.AutoscalingV2Api(official), client.AutoscalingV1Api(official)
        new.create_namespaced_horizontal_pod_autoscaler("ref", scaler)
        read = old.read_namespaced_horizontal_pod_autoscaler("a", "ref")
        assert read.spec.target_cpu_utilization_percentage == 80
        asked = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
        review = client.AuthorizationV1Api(official).create_self_subject_access_review(asked)
        assert review.status.allowed
        me = client.AuthenticationV1Api(official).create_self_subject_review({})
        assert me.status.user_info.username == "kubernetes-admin"
