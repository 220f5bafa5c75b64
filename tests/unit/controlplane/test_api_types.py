"""Values of the wrong type or size: judged by what they are, never a failure of the server."""

import json
from urllib.parse import quote

import pytest

from tests.unit.controlplane.apiserver import Answer, ApiServer, Client, pod

PODS = "/api/v1/namespaces/ref/pods"
CONFIG_MAPS = "/api/v1/namespaces/ref/configmaps"
DEPLOYMENT = "/apis/apps/v1/namespaces/ref/deployments/d"
PATCHES = [
    f"application/{name}" for name in ("merge-patch+json", "apply-patch+yaml",
                                       "strategic-merge-patch+json")
]  # fmt: skip
JUNK = pytest.mark.parametrize("junk", ["x", 5, [], ["x"], {"x": 1}, True, None], ids=repr)


def is_crash(answer: Answer) -> bool:
    """Tell whether a handler has failed: that is what the gate says then."""
    return b"see the log of the control plane" in answer.body


@pytest.fixture(autouse=True, scope="module")
def _objects(api: ApiServer) -> None:
    """Give a pod with an address, a ConfigMap and a Deployment."""
    labels = {"matchLabels": {"app": "web"}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod()["spec"]}
    for kind, obj in (
        ("Pod", pod()),
        ("ConfigMap", {"metadata": {"name": "cm", "namespace": "ref"}}),
        ("Deployment", {"metadata": {"name": "d", "namespace": "ref"},
                        "spec": {"selector": labels, "template": template}}),
    ):  # fmt: skip
        api.call(api.registry.create, kind, obj)
    merge = {"content_type": PATCHES[0], "subresource": "status"}
    status = {"status": {"podIP": "127.0.0.1"}}
    api.call(api.registry.patch, "Pod", "ref", "p", status, **merge)


@JUNK
@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("PUT", f"{DEPLOYMENT}/scale", "spec"),
        ("PUT", f"{DEPLOYMENT}/scale", "metadata"),
        ("PUT", f"{CONFIG_MAPS}/cm", "metadata"),
        ("POST", f"{PODS}/p/binding", "target"),
        ("POST", f"{PODS}/p/eviction", "deleteOptions"),
        ("POST", f"{PODS}/p/eviction", "metadata"),
        ("DELETE", f"{CONFIG_MAPS}/cm", "preconditions"),
        ("DELETE", f"{CONFIG_MAPS}/cm", "gracePeriodSeconds"),
        ("DELETE", f"{CONFIG_MAPS}/cm", "dryRun"),
    ],
)
def test_a_field_of_the_wrong_type_is_judged(
    http: Client, method: str, path: str, field: str, junk: object
) -> None:
    body = {"metadata": {"name": "d"}} | {field: junk}
    answer = http.request(method, f"{path}?dryRun=All", body, content_type="application/json")
    assert not is_crash(answer), answer.json()


@JUNK
@pytest.mark.parametrize("field", ["metadata", "name", "uid", "resourceVersion", "managedFields"])
@pytest.mark.parametrize("content_type", PATCHES)
def test_a_patch_with_the_wrong_metadata_is_judged(
    http: Client, content_type: str, field: str, junk: object
) -> None:
    metadata = junk if field == "metadata" else {"name": "cm", field: junk}
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    path = f"{CONFIG_MAPS}/cm?dryRun=All&fieldManager=m"
    answer = http.request("PATCH", path, patch, content_type=content_type)
    assert not is_crash(answer), answer.json()


@JUNK
@pytest.mark.parametrize("path", ["", "/metadata", "/metadata/name", "/metadata/resourceVersion"])
def test_a_json_patch_may_not_take_an_object_apart(http: Client, path: str, junk: object) -> None:
    patch, kind = [{"op": "replace", "path": path, "value": junk}], "application/json-patch+json"
    answer = http.request("PATCH", f"{CONFIG_MAPS}/cm?dryRun=All", patch, content_type=kind)
    assert not is_crash(answer), answer.json()


@pytest.mark.parametrize(
    "query",
    ["limit=" + "9" * 30, "watch=1&timeoutSeconds=" + "9" * 400, "includeObject=x", "continue=",
     "resourceVersion=%C2%B2", "continue=eyJydiI6OTk5OTk5OTk5LCJzdGFydCI6ImEifQ",
     "continue=eyJydiI6MWU5OTksInN0YXJ0IjoiYSJ9"],
)  # fmt: skip
def test_a_strange_parameter_is_judged(http: Client, query: str) -> None:
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    assert not is_crash(http.get(f"{CONFIG_MAPS}?{query}", headers=accept))


def test_a_grace_period_of_ages_is_a_long_one(http: Client, api: ApiServer) -> None:
    api.call(api.registry.create, "Pod", pod("patient"))
    api.call(api.registry.bind, "ref", "patient", "node-1")
    path = f"{PODS}/patient?dryRun=All&gracePeriodSeconds={'9' * 15}"
    assert http.request("DELETE", path).status == 200


def test_half_a_surrogate_pair_does_not_spoil_the_list(http: Client) -> None:
    body = json.dumps({"metadata": {"name": "half"}, "data": {"a": "\ud800"}})
    assert http.post(CONFIG_MAPS, body).status == 400
    assert http.get(CONFIG_MAPS).status == 200


@pytest.mark.parametrize("port", ["abc", "0", "-1", "99999999", "\u00b2", "80:x"])
def test_a_port_that_is_none_cannot_be_reached(http: Client, port: str) -> None:
    assert http.get(f"{PODS}/p:{quote(port)}/proxy/").status == 400
