"""The API server against what a real one answered to the same requests."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.unit.controlplane.apiserver import ApiServer, Client

REFERENCE = Path(__file__).parents[2] / "reference"
PODS = "/api/v1/namespaces/ref/pods"
CONFIG_MAPS = "/api/v1/namespaces/ref/configmaps"
SERVICES = "/api/v1/namespaces/ref/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/ref/deployments"
POD_SPEC = {"containers": [{"name": "c", "image": "web:1"}]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD_SPEC}
DEPLOYMENT_SPEC = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
SET_UP = (
    (CONFIG_MAPS, {"metadata": {"name": "cm"}, "data": {"a": "1"}}),
    (CONFIG_MAPS, {"metadata": {"name": "imm"}, "data": {"a": "1"}, "immutable": True}),
    ("/api/v1/namespaces/ref/secrets", {"metadata": {"name": "sec"}, "data": {"a": "MQ=="}}),
    (PODS, {"metadata": {"name": "p", "labels": {"a": "p"}},
            "spec": POD_SPEC | {"nodeSelector": {"no": "where"}}}),
    (DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": DEPLOYMENT_SPEC}),
    ("/apis/batch/v1/namespaces/ref/jobs", {"metadata": {"name": "j"}, "spec": {"template": {
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "web:1"}]}}}}),
    (SERVICES, {"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"},
                                                    "ports": [{"port": 80}]}}),
    (SERVICES, {"metadata": {"name": "np"},
                "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30777}]}}),
    ("/api/v1/namespaces/default/services",
     {"metadata": {"name": "kubernetes"},
      "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]}}),
)  # fmt: skip
DIFFERENT = {
    "written for objects of the recording": {306, 307, 308, 311, 332, 333, 548, 549, 550},
    "a whole object is quoted, with its fields in another order": {53, 56, 325, 386, 411},
    "a security context is quoted as Kubernetes has it inside": {229},
    "a random name is in the message": {103},
    "the request was shortened when it was recorded": {117, 457},
    "refused one step earlier": {439},
    "who has no token gets no further": {517},
    "a type error in an apply patch is worded as in any other body": {418},
    "a real server finds the same cause twice": {389},
    "policy/v1beta1 is not served": {460},
    "metrics.k8s.io is served": {541},
    "the log of a young server reaches back to its start": {471, 478, 483, 496},
}
"""Why -> the requests whose answers differ, by number."""
VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|resourceVersion\W+\d+|Time\W+[0-9T:Z-]+|current: \d+|\(\d+\)"
    r"|in record \(\d+\)"
)


@pytest.fixture(scope="module")
def recorded_set_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Give a server with the objects that the recorded requests are about."""
    server = ApiServer(tmp_path_factory.mktemp("api")).start()
    client = Client(server)
    level = "pod-security.kubernetes.io/"
    restricted = {level + "enforce": "restricted", level + "warn": "restricted"}
    for name, labels in (("rstr", restricted), ("bsl", {level + "enforce": "baseline"}),
                         ("dying", {})):  # fmt: skip
        client.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        client.post(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    client.request("DELETE", "/api/v1/namespaces/dying")
    for path, obj in SET_UP:
        assert client.post(path, obj).status == 201
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}
    path = f"{CONFIG_MAPS}/ssa?fieldManager=one"
    client.request("PATCH", path, applied, content_type="application/apply-patch+yaml")
    yield client
    server.stop()


def body_of(case: dict, client: Client) -> object:
    """Give a recorded body with the uid and version of our object in place of theirs."""
    body = case["request"]
    if isinstance(body, str) and body.startswith("(a ConfigMap with"):
        size = int(body.split()[3])
        return {"metadata": {"name": "x"}, "data": {"a": "x" * size}}
    if case["method"] != "PUT" or not isinstance(body, dict) or "metadata" not in body:
        return body
    metadata = dict(body["metadata"])
    live = client.request("GET", case["path"].split("?")[0]).json().get("metadata", {})
    if len(metadata.get("resourceVersion", "")) == 4:
        metadata["resourceVersion"] = live.get("resourceVersion")
    body |= {"metadata": metadata}
    uid = metadata.get("uid", "0")
    if uid[:8] == "00000000":
        return body
    return json.loads(json.dumps(body).replace(f'"{uid}"', json.dumps(live.get("uid"))))


def gist(code: int, response: object, warnings: list[str]) -> tuple[object, ...]:
    """Reduce an answer to what must be the same; of a success the code and the warnings."""
    if code < 300 or not isinstance(response, dict):
        text = "" if code < 300 else str(response)
        return code, text.strip(), sorted(warnings)
    details = response.get("details") or {}
    causes = VOLATILE.sub("*", json.dumps(details.get("causes", [])))
    message = VOLATILE.sub("*", response.get("message", ""))
    reason = response.get("reason") if code < 500 else ""
    return code, message, reason, causes, sorted(warnings)


@pytest.mark.parametrize("file", ["errors.jsonl", "paths.jsonl"])
def test_every_recorded_refusal_is_worded_as_kubernetes_words_it(
    recorded_set_up: Client, file: str
) -> None:
    known = set().union(*DIFFERENT.values())
    differing = {}
    for line in (REFERENCE / "errors" / file).read_text().splitlines():
        case = json.loads(line)
        headers = case.get("requestHeaders") or {}
        headers |= {"Accept": case["accept"]} if case.get("accept") else {}
        answer = recorded_set_up.request(
            case["method"], case["path"].replace(" ", "%20"), body_of(case, recorded_set_up),
            content_type=case["contentType"] or "", headers=headers,
        )  # fmt: skip
        ours = gist(answer.status, answer.json(), answer.warnings)
        theirs = gist(case["code"], case["response"], case.get("warning") or [])
        if ours != theirs and case["n"] not in known:
            differing[case["n"]] = (case["note"], theirs, ours)
    assert differing == {}


MANIFESTS = sorted(p.name.split(".")[0] for p in (REFERENCE / "defaulting").glob("*.input.yaml"))
SERVED = {
    "ConfigMap": CONFIG_MAPS, "Deployment": DEPLOYMENTS, "Pod": PODS, "Service": SERVICES,
    "Endpoints": "/api/v1/namespaces/ref/endpoints", "Secret": "/api/v1/namespaces/ref/secrets",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/ref/endpointslices",
    "Event": "/api/v1/namespaces/ref/events", "Namespace": "/api/v1/namespaces",
    "Job": "/apis/batch/v1/namespaces/ref/jobs",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/ref/horizontalpodautoscalers",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/ref/leases",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/ref/networkpolicies",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/ref/poddisruptionbudgets",
    "ReplicaSet": "/apis/apps/v1/namespaces/ref/replicasets",
    "ServiceAccount": "/api/v1/namespaces/ref/serviceaccounts",
}  # fmt: skip


def steady(obj: dict) -> dict:
    """Take out what differs from run to run."""
    text = re.sub(r"kube-api-access-\w{5}", "kube-api-access", json.dumps(obj))
    uid = obj["metadata"].get("uid")
    result = json.loads(text.replace(uid, "*") if uid else text)
    for field in ("uid", "creationTimestamp", "managedFields"):
        result["metadata"].pop(field, None)
    if "generateName" in result["metadata"]:
        del result["metadata"]["name"]
    if result["kind"] == "Service" and result["spec"].get("clusterIP", "None") != "None":
        result["spec"] |= {"clusterIP": "*", "clusterIPs": ["*"]}
    for port in result.get("spec", {}).get("ports", []) if result["kind"] == "Service" else []:
        port.pop("nodePort", None)
    result.get("spec", {}).pop("healthCheckNodePort", None)
    return result


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_created_object_comes_back_as_from_a_real_cluster(
    recorded_set_up: Client, name: str
) -> None:
    manifest = (REFERENCE / "defaulting" / f"{name}.input.yaml").read_text()
    path = SERVED.get(yaml.safe_load(manifest)["kind"])
    if path is None:
        pytest.skip("not served")
    answer = recorded_set_up.request(
        "POST", f"{path}?dryRun=All", manifest, content_type="application/yaml"
    )
    expected = json.loads((REFERENCE / "defaulting" / f"{name}.output.json").read_text())
    assert steady(answer.json()) == steady(expected)


def test_an_apply_without_a_manager_is_refused_as_by_a_real_server(recorded_set_up: Client) -> None:
    file = REFERENCE / "patches" / "ssa-12-default-manager-name-missing.json"
    case = json.loads(file.read_text())
    method, path = case["request"].split()
    applied = recorded_set_up.request(method, path, case["patch"], content_type=case["contentType"])
    assert (applied.status, applied.json()) == (case["code"], case["after"])


REVIEWS = {
    "selfsubjectreview": "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    "selfsubjectaccessreview": "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "subjectaccessreview": "/apis/authorization.k8s.io/v1/subjectaccessreviews",
}


@pytest.mark.parametrize("name", REVIEWS)
def test_a_review_is_answered_as_on_a_real_cluster(recorded_set_up: Client, name: str) -> None:
    manifest = (REFERENCE / "reviews" / f"{name}.input.yaml").read_text()
    answer = recorded_set_up.request(
        "POST", REVIEWS[name], manifest, content_type="application/yaml"
    ).json()
    expected = json.loads((REFERENCE / "reviews" / f"{name}.output.json").read_text())
    expected["status"].get("userInfo", {}).pop("extra", None)  # this cluster knows no certificates
    assert steady(answer) == steady(expected)


def test_discovery_lists_every_served_resource_as_a_real_server_does(
    recorded_set_up: Client,
) -> None:
    recorded = json.loads((REFERENCE / "discovery" / "resources.json").read_text())
    later = {"ephemeralcontainers", "resize", "token"}
    for group_version, resources in recorded.items():
        root = "api" if group_version == "v1" else "apis"
        served = recorded_set_up.request("GET", f"/{root}/{group_version}").json()["resources"]
        wanted = [r for r in resources if r["name"].partition("/")[2] not in later]
        assert {r["name"]: r for r in served} == {r["name"]: r for r in wanted}


def test_table_columns_are_those_of_a_real_server(recorded_set_up: Client) -> None:
    recorded = json.loads((REFERENCE / "tables" / "columns.json").read_text())
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    paths = SERVED | {"Node": "/api/v1/nodes"}
    for kind, columns in recorded.items():
        table = recorded_set_up.request("GET", paths[kind], headers=accept).json()
        found = [
            [c["name"], c["type"], c["format"], c["priority"]] for c in table["columnDefinitions"]
        ]
        assert found == columns, kind
