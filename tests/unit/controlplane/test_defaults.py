import json
from pathlib import Path

import pytest

from lab_utils.controlplane.defaults import qos_class, set_defaults
from lab_utils.controlplane.parsing import read_yaml
from lab_utils.controlplane.schema import drop_unknown
from tests.tools.golden import REFERENCE

CASES = sorted((REFERENCE / "defaulting").glob("*.input.yaml"))
METADATA = ("uid", "creationTimestamp", "generation", "namespace", "name")
# What others add: admission (service account, tolerations, priority), allocation (Services) and
# the labels of a Job's pods.
ADMITTED = ("serviceAccountName", "serviceAccount", "tolerations", "priority", "preemptionPolicy")
ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")


def without_the_work_of_others(obj: dict) -> dict:
    for name in METADATA:
        obj["metadata"].pop(name, None)
    spec = obj.get("spec", {})
    if obj["kind"] == "Pod":
        _without_admission(spec)
    elif obj["kind"] == "Job":
        for holder, name in (
            (obj["metadata"], "labels"),
            (spec, "selector"),
            (spec["template"]["metadata"], "labels"),
        ):
            holder.pop(name, None)
    elif obj["kind"] == "Service":
        for name in ALLOCATED:
            spec.pop(name, None)
        for port in spec.get("ports", []):
            port.pop("nodePort", None)
    return obj


def _without_admission(spec: dict) -> None:
    for name in ADMITTED:
        spec.pop(name, None)
    token = "kube-api-access-"
    for holder, key in [
        (spec, "volumes"),
        *((c, "volumeMounts") for c in spec["containers"] + spec.get("initContainers", [])),
    ]:
        kept = [one for one in holder.pop(key, []) if not one["name"].startswith(token)]
        holder |= {key: kept} if kept else {}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.removesuffix(".input.yaml"))
def test_defaults_are_those_of_a_real_cluster(path: Path):
    given = read_yaml(path.read_bytes())
    expected = json.loads(
        path.with_name(path.name.replace("input.yaml", "output.json")).read_text()
    )
    found = set_defaults(given["kind"], drop_unknown(given["kind"], given))
    assert without_the_work_of_others(found) == without_the_work_of_others(expected)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.removesuffix(".input.yaml"))
def test_defaults_twice_are_defaults_once(path: Path):
    given = read_yaml(path.read_bytes())
    once = set_defaults(given["kind"], drop_unknown(given["kind"], given))
    assert set_defaults(given["kind"], drop_unknown(given["kind"], once)) == once


def test_defaults_leave_their_argument_alone():
    pod = {"spec": {"containers": [{"name": "c", "image": "web"}]}}
    set_defaults("Pod", pod)
    assert pod == {"spec": {"containers": [{"name": "c", "image": "web"}]}}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"), ("web:latest", "Always"), ("web:1", "IfNotPresent"),
        ("registry:5000/web", "Always"), ("registry:5000/web:1", "IfNotPresent"),
        ("web@sha256:0", "IfNotPresent"),
    ],
)  # fmt: skip
def test_an_image_without_a_fixed_tag_is_always_pulled(image, policy):
    pod = set_defaults("Pod", {"spec": {"containers": [{"name": "c", "image": image}]}})
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_template_gets_no_requests_from_its_limits():
    resources = {"limits": {"cpu": "1"}}
    spec = {"containers": [{"name": "c", "image": "web:1", "resources": resources}]}
    deployment = set_defaults("Deployment", {"spec": {"template": {"spec": spec}}})
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == resources


def test_a_namespace_on_its_way_out_gets_no_finalizer_back():
    dying = {"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert "spec" not in set_defaults("Namespace", dying)


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "50m"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "50m"}}, "Burstable"),
    ],
)
def test_quality_of_service_follows_from_requests_and_limits(resources, qos):
    assert qos_class({"containers": [{"resources": resources}]}) == qos
