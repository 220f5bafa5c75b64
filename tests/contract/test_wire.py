"""What the API server answers on the wire: codes, reasons, revisions, patches, watches."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.cluster import STRATEGIC, Cluster, Namespace, Object
from tests.contract.manifests import config_map, deployment, pod, service

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


def bad_pod(**changes: object) -> Object:
    obj = pod("bad")
    obj["spec"]["containers"][0] |= changes
    return obj


@pytest.fixture(scope="module", autouse=True)
def objects(shared: Namespace) -> None:
    """Have one object of each sort that the requests are about."""
    shared.create(config_map("cm", a="1"), deployment("d", replicas=0), service("s"))
    shared.create(config_map("fixed", a="1") | {"immutable": True})


@pytest.mark.parametrize(
    ("method", "kind", "name", "body", "code", "reason", "words"),
    [
        ("GET", "ConfigMap", "no", None, 404, "NotFound", 'configmaps "no" not found'),
        ("POST", "ConfigMap", "", config_map("cm"), 409, "AlreadyExists",
         'configmaps "cm" already exists'),
        ("POST", "ConfigMap", "", config_map("No"), 422, "Invalid",
         "a lowercase RFC 1123 subdomain must consist of"),
        ("POST", "ConfigMap", "", "{", 400, "BadRequest", "unexpected end of JSON input"),
        ("POST", "Pod", "", bad_pod(name="Upper"), 422, "Invalid", "spec.containers[0].name"),
        ("POST", "Pod", "", bad_pod(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
         422, "Invalid", "must be less than or equal to cpu limit"),
        ("POST", "Deployment", "", deployment("e", selector={"matchLabels": {"app": "x"}}),
         422, "Invalid", "`selector` does not match template `labels`"),
        ("POST", "Service", "", service("t", ports=[{"port": 0}]), 422, "Invalid",
         "must be between 1 and 65535, inclusive"),
        ("PUT", "ConfigMap", "fixed", config_map("fixed", a="2") | {"immutable": True},
         422, "Invalid", "field is immutable when `immutable` is set"),
        ("PUT", "ConfigMap", "cm", config_map("other"), 400, "BadRequest",
         "the name of the object (other) does not match the name on the URL (cm)"),
        ("DELETE", "Service", "no", {}, 404, "NotFound", 'services "no" not found'),
        ("PATCH", "ConfigMap", "cm", {}, 415, "UnsupportedMediaType",
         "415: Unsupported Media Type"),
    ],
    ids=lambda value: str(value) if isinstance(value, int | str) and "\n" not in str(value) else "",
)  # fmt: skip
def test_a_wrong_request_is_refused_with_code_reason_and_words(
    shared: Namespace, method: str, kind: str, name: str, body: object, code: int, reason: str,
    words: str,
) -> None:  # fmt: skip
    answer = shared.cluster.request(method, shared.path(kind, name), body)
    assert (answer.code, answer.reason) == (code, reason)
    assert words in answer.message
    assert (answer.body["kind"], answer.body["status"]) == ("Status", "Failure")


def test_what_is_wrong_is_listed_as_causes(shared: Namespace) -> None:
    obj = bad_pod(name="Upper", imagePullPolicy="Sometimes")
    details = shared.cluster.request("POST", shared.path("Pod"), obj).body["details"]
    causes = {(one["reason"], one["field"]) for one in details["causes"]}
    assert {("FieldValueInvalid", "spec.containers[0].name"),
            ("FieldValueNotSupported", "spec.containers[0].imagePullPolicy")} <= causes  # fmt: skip


def test_without_a_token_nobody_is_let_in(cluster: Cluster) -> None:
    host = cluster.client.configuration.host
    pool = cluster.client.rest_client.pool_manager
    answer = pool.request(
        "GET", host + "/api/v1/namespaces/default/pods", headers={"Authorization": "Bearer no"}
    )
    assert answer.status == 401
    assert json.loads(answer.data)["reason"] == "Unauthorized"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/apis/nothing/v1", 404),
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/namespaces", 405),
        ("POST", "/api/v1/nodes/x/status", 405),
    ],
)
def test_paths_and_methods_that_are_not_there(
    cluster: Cluster, method: str, path: str, code: int
) -> None:
    assert cluster.request(method, path, {}).code == code


def test_an_unknown_media_type_is_not_acceptable(cluster: Cluster) -> None:
    answer = cluster.request("GET", "/api/v1/namespaces", accept="text/plain")
    assert (answer.code, answer.reason) == (406, "NotAcceptable")


def test_an_update_with_a_stale_revision_is_a_conflict(shared: Namespace) -> None:
    stale = shared.create(config_map("raced", a="1"))
    shared.patch("ConfigMap", "raced", {"data": {"a": "2"}})
    answer = shared.cluster.request("PUT", shared.path("ConfigMap", "raced"), stale)
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert "the object has been modified; please apply your changes" in answer.message


def test_of_many_racing_updates_exactly_one_wins(shared: Namespace) -> None:
    obj = shared.create(config_map("race", a="0"))

    def write(i: int) -> int:
        body = obj | {"data": {"a": str(i + 1)}}
        return shared.cluster.request("PUT", shared.path("ConfigMap", "race"), body).code

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(write, range(8))) == [200] + [409] * 7


def test_a_dry_run_answers_what_would_be_and_changes_nothing(shared: Namespace) -> None:
    path = shared.path("Deployment", "d")
    patch = {"spec": {"replicas": 7}}
    answer = shared.cluster.request("PATCH", path, patch, content_type=STRATEGIC, dryRun="All")
    assert answer.body["spec"]["replicas"] == 7
    assert shared.cluster.request("GET", path).body["spec"]["replicas"] == 0


def test_a_write_that_changes_nothing_makes_no_revision(shared: Namespace) -> None:
    first = shared.patch("ConfigMap", "cm", {"data": {"n": "1"}}).body["metadata"]
    again = shared.patch("ConfigMap", "cm", {"data": {"n": "1"}}).body["metadata"]
    assert first["resourceVersion"] == again["resourceVersion"]


def test_unknown_fields_are_refused_warned_of_or_dropped(shared: Namespace) -> None:
    def create(name: str, level: str) -> object:
        obj = config_map(name) | {"dta": {}}
        return shared.cluster.request("POST", shared.path("ConfigMap"), obj, fieldValidation=level)

    strict, warned, ignored = (create(f"u{i}", level) for i, level in
                               enumerate(("Strict", "Warn", "Ignore")))  # fmt: skip
    assert (strict.code, strict.reason) == (400, "BadRequest")
    assert 'strict decoding error: unknown field "dta"' in strict.message
    assert warned.headers["Warning"] == '299 - "unknown field \\"dta\\""'
    assert "Warning" not in ignored.headers


def test_names_are_generated_and_never_twice(shared: Namespace) -> None:
    obj = config_map("x") | {"metadata": {"generateName": "gen-"}}
    names = {shared.create(obj)["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("gen-") and len(name) == 9 for name in names)


def test_three_patches_and_an_apply_each_in_their_way(shared: Namespace) -> None:
    shared.create(deployment("p", replicas=0))
    path = shared.path("Deployment", "p")

    def env_after(patch: object, content_type: str, **query: object) -> list[str]:
        answer = shared.cluster.request("PATCH", path, patch, content_type=content_type, **query)
        assert answer.code == 200, answer.text
        env = answer.body["spec"]["template"]["spec"]["containers"][0].get("env", [])
        return [one["name"] for one in env]

    def template(**fields: object) -> Object:
        return {"spec": {"template": {"spec": {"containers": [{"name": "c"} | fields]}}}}

    add = [{"op": "add", "path": "/spec/template/spec/containers/0/env",
            "value": [{"name": "A", "value": "1"}]}]  # fmt: skip
    assert env_after(add, JSON_PATCH) == ["A"]
    assert env_after(template(env=[{"name": "B", "value": "2"}]), STRATEGIC) == ["B", "A"]
    removed = template(env=[{"name": "A", "$patch": "delete"}])
    assert env_after(removed, STRATEGIC) == ["B"]
    applied = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p"}}
    applied |= template(env=[{"name": "C", "value": "3"}])
    assert env_after(applied, APPLY, fieldManager="me") == ["B", "C"]


def test_a_list_in_chunks_shows_one_moment(namespace: Namespace) -> None:
    namespace.create(*(config_map(name) for name in "abc"))
    first = namespace.cluster.request("GET", namespace.path("ConfigMap"), limit=2).body
    namespace.delete("ConfigMap", "c")
    rest = namespace.cluster.request(
        "GET", namespace.path("ConfigMap"), limit=5, **{"continue": first["metadata"]["continue"]}
    ).body
    names = [item["metadata"]["name"] for item in first["items"] + rest["items"]]
    assert [name for name in names if name in "abc"] == ["a", "b", "c"]
    assert first["metadata"]["resourceVersion"] == rest["metadata"]["resourceVersion"]


def test_a_collection_is_deleted_by_selector(shared: Namespace) -> None:
    for name in ("x", "y"):
        obj = config_map(name)
        obj["metadata"]["labels"] = {"n": name}
        shared.create(obj)
    path = shared.path("ConfigMap")
    assert shared.cluster.request("DELETE", path, {}, labelSelector="n=x").code == 200
    left = shared.objects("ConfigMap", labelSelector="n")
    assert [one["metadata"]["name"] for one in left] == ["y"]


def test_a_precondition_guards_a_deletion(shared: Namespace) -> None:
    shared.create(config_map("guarded"))
    answer = shared.delete("ConfigMap", "guarded", preconditions={"uid": "another"})
    assert (answer.code, answer.reason) == (409, "Conflict")
    assert "the UID in the precondition (another) does not match" in answer.message


def test_pod_security_is_enforced_by_the_namespaces_label(cluster: Cluster) -> None:
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    head = {"metadata": {"generateName": "contract-", "labels": level}}
    name = cluster.request("POST", "/api/v1/namespaces", head).body["metadata"]["name"]
    made = Namespace(cluster, name)
    made.until("ServiceAccount", "default", bool)
    answer = cluster.request("POST", made.path("Pod"), pod("root"))
    cluster.request("DELETE", f"/api/v1/namespaces/{name}")
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert 'violates PodSecurity "restricted:latest"' in answer.message


def events(namespace: Namespace, **query: object) -> Iterator[Object]:
    """Watch ConfigMaps."""
    path = namespace.path("ConfigMap")
    stream = namespace.cluster.open("GET", path, stream=True, watch=1, timeoutSeconds=20, **query)
    try:
        yield from map(json.loads, stream)
    finally:
        stream.close()


def test_a_watch_from_a_revision_replays_what_was_missed(namespace: Namespace) -> None:
    listed = namespace.cluster.request("GET", namespace.path("ConfigMap")).body
    namespace.create(config_map("seen", a="1"))
    namespace.patch("ConfigMap", "seen", {"data": {"a": "2"}})
    namespace.delete("ConfigMap", "seen")
    stream = events(namespace, resourceVersion=listed["metadata"]["resourceVersion"],
                    fieldSelector="metadata.name=seen")  # fmt: skip
    seen = [next(stream) for _ in range(3)]
    stream.close()
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert revisions == sorted(set(revisions))


def test_what_leaves_the_selection_is_deleted_for_the_watcher(namespace: Namespace) -> None:
    obj = config_map("moving")
    obj["metadata"]["labels"] = {"in": "yes"}
    namespace.create(obj)
    stream = events(namespace, labelSelector="in=yes")
    first = next(stream)
    namespace.patch("ConfigMap", "moving", {"metadata": {"labels": {"in": "no"}}})
    kinds = [first["type"], next(stream)["type"]]
    stream.close()
    assert kinds == ["ADDED", "DELETED"]


def test_a_watch_marks_the_end_of_what_was_there(namespace: Namespace) -> None:
    stream = events(namespace, sendInitialEvents="true", allowWatchBookmarks="true",
                    resourceVersionMatch="NotOlderThan")  # fmt: skip
    seen = [next(stream)]
    while seen[-1]["type"] != "BOOKMARK":
        seen.append(next(stream))
    stream.close()
    assert {event["type"] for event in seen[:-1]} <= {"ADDED"}
    annotations = seen[-1]["object"]["metadata"]["annotations"]
    assert annotations["k8s.io/initial-events-end"] == "true"


def test_a_revision_that_is_not_there_yet_is_refused(namespace: Namespace) -> None:
    path = namespace.path("ConfigMap")
    answer = namespace.cluster.request("GET", path, resourceVersion=10**12)
    assert (answer.code, answer.reason) == (504, "Timeout")
    assert "Too large resource version" in answer.message


def test_health_says_each_check_by_name(cluster: Cluster) -> None:
    for check in ("livez", "readyz"):
        assert cluster.request("GET", f"/{check}", accept="*/*").text == "ok"
        text = cluster.request("GET", f"/{check}", accept="*/*", verbose="").text
        assert text.startswith("[+]ping ok\n")
        assert text.endswith(f"{check} check passed\n")
