"""The environment of a container."""

import os
from typing import Any

import pytest

from lab_utils.controlplane.kubelet.env import (
    ConfigError,
    Sources,
    build_env,
    env_references,
    expand,
)

Json = dict[str, Any]
POD: Json = {
    "metadata": {"name": "p", "namespace": "lab", "uid": "u", "labels": {"role": "primary"}},
    "spec": {"nodeName": "lab-worker", "containers": []},
}
LIMITS: Json = {"limits": {"cpu": "150m", "memory": "64Mi"}, "requests": {"cpu": "50m"}}


def env_of(*variables: Json, sources: Sources | None = None, **container: Any) -> dict[str, str]:
    spec = {"name": "c", "env": list(variables), "resources": LIMITS, **container}
    return build_env(POD, spec, sources or Sources(node_ip="127.64.2.1", pod_ip="127.64.2.9"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['role']", "primary"),
        ("spec.nodeName", "lab-worker"),
        ("status.podIP", "127.64.2.9"),
        ("status.hostIP", "127.64.2.1"),
    ],
)
def test_fields(path: str, value: str) -> None:
    assert env_of({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": path}}}) == {"A": value}


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "0", "1"),
        ("limits.cpu", "1m", "150"),
        ("limits.memory", "1Mi", "64"),
        ("requests.cpu", "1m", "50"),
    ],
)
def test_resources_are_rounded_up_to_the_divisor(resource: str, divisor: str, value: str) -> None:
    ref = {"resource": resource, "divisor": divisor}
    assert env_of({"name": "A", "valueFrom": {"resourceFieldRef": ref}}) == {"A": value}


def test_a_limit_that_is_not_set_is_the_size_of_the_node() -> None:
    ref = {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}
    assert env_of(ref, resources={}) == {"A": str(os.cpu_count())}


def test_later_variables_see_earlier_ones() -> None:
    env = env_of({"name": "A", "value": "1"}, {"name": "B", "value": "$(A) $$(A) $(C)"})
    assert env["B"] == "1 $(A) $(C)"


def test_config_maps_and_secrets() -> None:
    data = {("ConfigMap", "m"): {"k": "v", "l": "w"}, ("Secret", "s"): {"t": "u"}}
    ref = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}
    sources = [{"secretRef": {"name": "s"}, "prefix": "X_"}]
    assert env_of(ref, sources=Sources(data), envFrom=sources) == {"A": "v", "X_t": "u"}
    assert set(env_references({"env": [ref], "envFrom": sources})) == set(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, 'configmap "m" not found'),
        ({("ConfigMap", "m"): {}}, "couldn't find key k in ConfigMap lab/m"),
    ],
)
def test_what_is_missing_is_named(data: Json, message: str) -> None:
    ref = {"name": "m", "key": "k"}
    with pytest.raises(ConfigError, match=message):
        env_of({"name": "A", "valueFrom": {"configMapKeyRef": ref}}, sources=Sources(data))
    optional = {"name": "A", "valueFrom": {"configMapKeyRef": {**ref, "optional": True}}}
    assert env_of(optional, sources=Sources(data)) == {}


def test_expansion_never_reaches_a_shell() -> None:
    assert expand("$(A);`$A` ${A}", {"A": "$(rm)"}) == "$(rm);`$A` ${A}"
