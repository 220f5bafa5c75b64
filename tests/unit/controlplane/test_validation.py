import copy
from typing import Any

import pytest

from lab_utils.controlplane import schema, shapes
from lab_utils.controlplane.defaults import set_defaults
from lab_utils.controlplane.joblabels import select_own_pods
from lab_utils.controlplane.validation import FIELDS, validate
from tests.tools.golden import Create, creates

NOT_HERE = {
    439: "whose user namespace is meant is not looked at",
    229: "Kubernetes quotes its internal form of a security context",
    103: "generateName is turned into a name before",
    117: "the recording abbreviates the annotation",
    256: "a uid is in the message",
    539: "only the second version of Events is so strict",
    **dict.fromkeys((269, 272, 551, 552, 553), "allocation reads the other Services"),
}


def prepared(case: Create) -> dict[str, Any]:
    obj = schema.drop_unknown(case.kind, case.body)
    if case.kind == "Job":
        obj["metadata"]["uid"] = "0"
        select_own_pods(obj)
    obj = set_defaults(case.kind, obj)
    if case.namespace:
        obj.setdefault("metadata", {}).setdefault("namespace", case.namespace)
    return obj


@pytest.mark.parametrize("case", creates(422, without=NOT_HERE))
def test_what_is_wrong_is_said_in_kubernetes_words(case: Create):
    found = [cause.as_dict() for cause in validate(case.kind, prepared(case), None)]
    assert found == case.causes


@pytest.mark.parametrize("case", creates(201, 403))
def test_what_a_real_cluster_takes_is_taken(case: Create):
    assert validate(case.kind, prepared(case), None) == []


def test_every_row_is_about_a_field_that_there_is():
    unknown = {
        (name, field) for name, rows in FIELDS.items() for field in rows
        if field and field not in shapes.fields(name)
    }  # fmt: skip
    assert unknown == set()


def deployment(**spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "web:1"}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template} | spec
    return set_defaults("Deployment", {"metadata": {"name": "d", "namespace": "ref"}, "spec": spec})


def pod(**spec: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "web:1"}]} | spec
    return set_defaults("Pod", {"metadata": {"name": "p", "namespace": "ref"}, "spec": spec})


def job(**spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "web:1"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    made = {"metadata": {"name": "j", "namespace": "ref", "uid": "0"}, "spec": {}}
    made["spec"] = {"template": template} | spec
    select_own_pods(made)
    return set_defaults("Job", made)


def config_map(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "imm"}, "immutable": True, "data": {"a": "1"}} | fields


def service(address: str) -> dict[str, Any]:
    spec = {"ports": [{"port": 80}], "clusterIP": address, "clusterIPs": [address]}
    return set_defaults("Service", {"metadata": {"name": "s"}, "spec": spec})


IMMUTABLE = "Forbidden: field is immutable when `immutable` is set"


@pytest.mark.parametrize(
    ("kind", "old", "new", "text"),
    [
        pytest.param(
            "Deployment", deployment(), deployment(selector={"matchLabels": {"a": "z"}}),
            'spec.selector: Invalid value: {"matchLabels":{"a":"z"}}: field is immutable',
            id="selector",
        ),
        pytest.param(
            "Service", service("10.96.1.1"), service("10.96.9.9"),
            'spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set',
            id="clusterIP",
        ),
        pytest.param(
            "Job", job(), job(completions=5, parallelism=5),
            "spec.completions: Invalid value: 5: field is immutable", id="completions",
        ),
        pytest.param(
            "Job", job(completions=1, completionMode="Indexed"),
            job(completions=5, completionMode="Indexed"),
            "spec.completions: Invalid value: 5: can only be modified in tandem with "
            "spec.parallelism", id="indexed completions",
        ),
        pytest.param(
            "ConfigMap", config_map(), config_map(data={"a": "2"}), f"data: {IMMUTABLE}", id="data"
        ),
        pytest.param(
            "ConfigMap", config_map(), config_map(immutable=None), f"immutable: {IMMUTABLE}",
            id="immutable",
        ),
        pytest.param(
            "Secret", {"metadata": {"name": "s"}, "type": "Opaque"},
            {"metadata": {"name": "s"}, "type": "x/y"},
            'type: Invalid value: "x/y": field is immutable', id="secret type",
        ),
        pytest.param(
            "Node", {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.1.0.0/24"}},
            {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.9.0.0/24"}},
            'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
            id="podCIDR",
        ),
        pytest.param(
            "Pod", pod(), pod(containers=[{"name": n, "image": "web:1"} for n in "cd"]),
            "spec.containers: Forbidden: pod updates may not add or remove containers",
            id="container added",
        ),
    ],
)  # fmt: skip
def test_what_is_fixed_after_creation_cannot_be_changed(kind, old, new, text):
    causes = validate(kind, new, old)
    assert text in [f"{cause.field}: {cause.message}" for cause in causes]


def test_the_pods_of_a_job_are_fixed_once_it_has_begun():
    spec = {"containers": [{"name": "c", "image": "web:2"}], "restartPolicy": "Never"}
    changed = job(template={"spec": spec})
    assert [one.field for one in validate("Job", changed, job())] == ["spec.template.spec"]
    assert validate("Job", changed, job(suspend=True)) == []


def test_an_indexed_job_needs_room_for_its_pods_names():
    long = job(completionMode="Indexed", completions=10)
    long["metadata"]["name"] = "x" * 62
    select_own_pods(long)
    assert "metadata.name" in [one.field for one in validate("Job", long, None)]


def test_another_command_in_a_pod_is_refused_with_the_difference():
    changed = pod(containers=[{"name": "c", "image": "web:1", "command": ["x"]}])
    (cause,) = validate("Pod", changed, pod())
    first, *difference = cause.message.splitlines()
    assert first.startswith("Forbidden: pod updates may not change fields other than `spec.")
    assert '+   "command": [' in difference


@pytest.mark.parametrize(
    "change",
    [
        {"containers": [{"name": "c", "image": "web:2"}]},
        {"activeDeadlineSeconds": 5},
        {"tolerations": [{"key": "t", "operator": "Exists"}]},
    ],
    ids=["image", "deadline", "one more toleration"],
)
def test_few_fields_of_a_pod_may_change(change):
    assert validate("Pod", pod(**change), pod()) == []


def test_the_status_of_a_deployment_must_add_up():
    new = deployment() | {"status": {"replicas": -5}}
    texts = [
        f"{cause.field}: {cause.message}" for cause in validate("Deployment", new, deployment())
    ]
    assert texts == [
        "status.replicas: Invalid value: -5: must be greater than or equal to 0",
        *(
            f"status.{name}Replicas: Invalid value: 0: cannot be greater than status.replicas"
            for name in ("updated", "ready", "available")
        ),
    ]


def test_a_selector_without_a_key_is_refused():
    selector = {"matchExpressions": [{"operator": "Exists"}]}
    fields = [cause.field for cause in validate("Deployment", deployment(selector=selector), None)]
    assert {*fields} == {"spec.selector", "spec.selector.matchExpressions[0].key"}


def test_a_variable_may_come_from_a_file_of_a_volume():
    source = {"fileKeyRef": {"volumeName": "v", "path": "settings", "key": "A"}}
    env = [{"name": "A", "valueFrom": source}]
    assert (
        validate("Pod", pod(containers=[{"name": "c", "image": "web:1", "env": env}]), None) == []
    )


def test_validation_leaves_its_arguments_alone():
    new = deployment(replicas=-1)
    before = copy.deepcopy(new)
    validate("Deployment", new, None)
    assert new == before


def test_annotations_are_bounded_all_together():
    metadata = {"name": "x", "annotations": {"a": "x" * 262145}}
    (cause,) = validate("ConfigMap", {"metadata": metadata}, None)
    assert cause.message == "Too long: may not be more than 262144 bytes"
