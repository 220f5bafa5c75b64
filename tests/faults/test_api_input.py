"""What is wrong with requests and workloads, and what the cluster says: faults 22 to 30."""

import copy
import json
import time

import pytest

from lab_utils import images
from lab_utils.waiting import wait_for
from tests.contract.cluster import Cluster, holds
from tests.contract.conftest import cluster, new_namespace  # noqa: F401 - a fixture

STRICT = {"fieldValidation": "Strict"}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": images.WORKER}]},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": POD["spec"]},
    },
}


@pytest.fixture(scope="module")
def space(cluster: Cluster):  # noqa: F811
    """Give a namespace for all tests of this module."""
    with new_namespace(cluster) as made:
        yield made


def changed(obj, path, value):
    """Give a copy of an object in which the field at a path has this value."""
    obj = copy.deepcopy(obj)
    *outer, last = path.split("/")
    place = obj
    for key in outer:
        place = place[int(key)] if key.isdigit() else place.setdefault(key, {})
    place[int(last) if last.isdigit() else last] = value
    return obj


def post(space, body, **options):
    kind = body["kind"] if isinstance(body, dict) else "Pod"
    return space.cluster.request("POST", space.path(kind), body, **options)


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [('{"kind": "Pod"', "application/json"), ("a: [b", "application/yaml"),
     ("\ta: b", "application/yaml")],
    ids=["JSON", "YAML", "a tab"],
)  # fmt: skip
def test_22_what_cannot_be_read_is_a_bad_request(space, body, content_type):
    answer = post(space, body, content_type=content_type)
    assert (answer.code, answer.reason) == (400, "BadRequest")


MISTAKES = {
    "wrong type": (POD, "spec/containers", "web", 400, "containers"),
    "unknown field": (POD, "spec/containres", [], 400, 'unknown field "spec.containres"'),
    "bad name": (POD, "metadata/name", "BAD_Name", 422, "metadata.name"),
    "long label": (POD, "metadata/labels", {"app": "x" * 64}, 422, "metadata.labels"),
    "selector": (DEPLOYMENT, "spec/selector/matchLabels/app", "e", 422,
                 "spec.template.metadata.labels"),
}  # fmt: skip


@pytest.mark.fault(22)
@pytest.mark.parametrize(("obj", "path", "value", "code", "field"), MISTAKES.values(), ids=MISTAKES)
def test_22_a_mistake_is_refused_with_the_path_of_its_field(space, obj, path, value, code, field):
    answer = post(space, changed(obj, path, value), **STRICT)
    assert answer.code == code
    assert field in answer.message
    if code == 422:
        causes = answer.body["details"]["causes"]
        assert any(cause["field"].startswith(field) for cause in causes)


@pytest.mark.fault(23)
@pytest.mark.parametrize("quantity", ["64MB", "64MiB", "-1", "NaN", "1_000", "", "1,5"])
def test_23_a_quantity_that_is_none_is_refused(space, quantity):
    """Without 1e400, which a real server takes: see tests/reference/errors."""
    obj = changed(POD, "spec/containers/0/resources", {"limits": {"memory": quantity}})
    answer = post(space, obj)
    assert answer.code in (400, 422)
    assert "quant" in answer.message or "memory" in answer.message


@pytest.mark.fault(23)
def test_23_a_limit_below_its_request_is_refused(space):
    resources = {"limits": {"cpu": "50m"}, "requests": {"cpu": "100m"}}
    answer = post(space, changed(POD, "spec/containers/0/resources", resources))
    (cause,) = answer.body["details"]["causes"]
    assert (answer.code, cause["field"]) == (422, "spec.containers[0].resources.requests")


@pytest.mark.fault(24)
def test_24_conflicts_and_strangers_have_the_codes_of_kubernetes(space):
    request, config = space.cluster.request, {"apiVersion": "v1", "kind": "ConfigMap"}
    config |= {"metadata": {"name": "twice"}, "data": {"a": "1"}}
    made = space.create(config)
    path = space.path("ConfigMap", "twice")
    stale = changed(made, "metadata/resourceVersion", "1")
    said = [
        post(space, config),
        request("PUT", path, stale),
        request("POST", "/api/v1/namespaces/nowhere/configmaps", config),
        request("GET", f"/apis/apps/v1/namespaces/{space.name}/unicorns"),
        request("PATCH", path, {}, content_type="application/x-made-up"),
    ]
    assert [answer.code for answer in said] == [409, 409, 404, 404, 415]
    assert [answer.reason for answer in said[:2]] == ["AlreadyExists", "Conflict"]


@pytest.mark.fault(24)
def test_24_a_selector_cannot_change_and_fields_have_owners(space):
    made = space.create(changed(DEPLOYMENT, "spec/replicas", 0))
    del made["metadata"]["resourceVersion"]
    moved = changed(made, "spec/selector/matchLabels", {"app": "e"})
    moved["spec"]["template"]["metadata"]["labels"] = {"app": "e"}
    path = space.path("Deployment", "d")
    answer = space.cluster.request("PUT", path, moved)
    assert (answer.code, "field is immutable" in answer.message) == (422, True)
    applied = changed(DEPLOYMENT, "spec/replicas", 0)
    for manager, replicas, code in (("one", 0, 200), ("other", 1, 409)):
        applied["spec"]["replicas"] = replicas
        answer = space.cluster.request(
            "PATCH", path, applied, content_type="application/apply-patch+yaml",
            fieldManager=manager,
        )  # fmt: skip
        assert answer.code == code
    assert 'with "one"' in answer.message


@pytest.mark.fault(25)
def test_25_a_body_that_is_too_large_is_refused(space):
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}}
    answer = post(space, data | {"data": {"a": "x" * 10_000_000}})
    assert answer.code in (413, 422)
    assert space.read("ConfigMap", "big") is None


@pytest.mark.fault(26)
@pytest.mark.parametrize(("replicas", "code"), [(-1, 422), (2**31, 400), ("many", 400)])
def test_26_a_number_of_replicas_that_cannot_be_is_refused(space, replicas, code):
    assert post(space, changed(DEPLOYMENT, "spec/replicas", replicas)).code == code


@pytest.mark.fault(26)
def test_26_a_thousand_replicas_wait_with_a_reason_and_zero_is_fine(space):
    crowd = changed(DEPLOYMENT, "metadata/name", "crowd")
    crowd["spec"]["replicas"] = 1_000
    crowd["spec"]["template"]["spec"] = changed(
        POD, "spec/containers/0/resources", {"requests": {"memory": "1000Gi"}}
    )["spec"]
    space.create(crowd)
    (pod, *_) = wait_for(lambda: names(space, "crowd") or None, timeout_s=30, late=AssertionError)
    told = space.until("Pod", pod, holds("PodScheduled", "False"))
    assert "Insufficient memory" in json.dumps(told["status"]["conditions"])
    assert space.patch("Deployment", "crowd", {"spec": {"replicas": 0}}).code == 200
    gone = AssertionError("pods of a Deployment without replicas are left")
    wait_for(lambda: not names(space, "crowd") or None, timeout_s=120, late=lambda: gone)


def names(space, beginning):
    found = [pod["metadata"]["name"] for pod in space.objects("Pod")]
    return [name for name in found if name.startswith(beginning)]


@pytest.mark.fault(27)
def test_27_a_container_that_closes_its_output_and_forks_leaves_nothing(space):
    code = (
        "import os, sys, time\nos.close(1); os.close(2)\n"
        "if os.fork() == 0:\n os.setsid(); time.sleep(600)\ntime.sleep(600)"
    )
    pod = changed(POD, "spec/containers/0/command", ["python", "-c", code])
    pod["metadata"]["name"] = "silent"
    pod["spec"]["terminationGracePeriodSeconds"] = 1
    space.create(pod)
    space.until("Pod", "silent", holds("Ready"))
    space.delete("Pod", "silent")
    space.until_gone("Pod", "silent", timeout_s=20)


@pytest.mark.fault(29)
def test_29_a_watch_ends_in_time_and_a_forgotten_version_is_gone(space):
    path = space.path("ConfigMap")
    started_s = time.monotonic()
    watch = space.cluster.open("GET", path, stream=True, watch="true", timeoutSeconds=1)
    assert watch.status == 200
    watch.read()
    assert time.monotonic() - started_s < 5
    old = space.cluster.request("GET", path, watch="true", resourceVersion="1", timeoutSeconds=2)
    assert old.code in (200, 410)
    assert not old.text or '"code":410' in old.text.replace(" ", "")


@pytest.mark.fault(30)
@pytest.mark.parametrize("name", ["../../etc/passwd", "%2f%2e%2e", "a//b", "x" * 5_000])
def test_30_a_path_in_a_name_leads_nowhere(space, name):
    assert space.cluster.request("GET", space.path("ConfigMap") + "/" + name).code in (301, 404)


@pytest.mark.fault(30)
def test_30_no_shell_sees_a_name_an_image_or_a_variable(space, tmp_path):
    harm = f"$(touch {tmp_path}/harm); touch {tmp_path}/harm"
    pod = changed(POD, "spec/containers/0/env", [{"name": "X", "value": f"{harm}\n{harm}"}])
    pod["spec"]["containers"][0]["command"] = ["python", "-c", "import os; print(os.environ['X'])"]
    pod["spec"]["restartPolicy"] = "Never"
    space.create(changed(pod, "metadata/name", "harmless"))
    space.until("Pod", "harmless", lambda p: p["status"]["phase"] == "Succeeded")
    assert space.logs("harmless") == f"{harm}\n{harm}\n"
    strange = changed(pod, "spec/containers/0/image", f"worker;touch {tmp_path}/harm")
    assert post(space, changed(strange, "metadata/name", "strange")).code in (201, 422)
    assert not (tmp_path / "harm").exists()


@pytest.mark.fault(30, 38)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/volumes", [{"name": "v", "hostPath": {"path": "/etc"}}]),
        ("spec/hostNetwork", True),
        ("spec/containers/0/securityContext", {"privileged": True}),
        ("spec/securityContext", {"runAsUser": 0}),
    ],
    ids=["hostPath", "hostNetwork", "privileged", "root"],
)
def test_38_a_pod_that_reaches_for_the_host_is_forbidden(lab, space, path, value):
    lab.ensure()
    answer = space.cluster.request(
        "POST", space.cluster.path("Pod", "lab"), changed(POD, path, value)
    )
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert 'violates PodSecurity "restricted' in answer.message
