import subprocess
import sys

import kubernetes
import pytest

from lab_utils.controlplane import schema, shapes
from lab_utils.controlplane.kinds import KINDS
from lab_utils.controlplane.quantities import canonical_quantity, round_to_milli
from lab_utils.controlplane.status import ApiError
from tests.tools.golden import Create, creates
from tests.tools.make_schema import TARGET, render

NOT_HERE = {
    **dict.fromkeys((37, 43), "the version is looked at before"),
    **dict.fromkeys((33, 49, 52), "what YAML and duplicate keys mean is decided before"),
    104: "the namespace in the URL is the server's business",
}


@pytest.mark.skipif(
    not kubernetes.__version__.startswith("37."), reason="schema.json is made from client 37"
)
def test_the_schema_is_that_of_the_installed_client():
    assert TARGET.read_text(encoding="utf-8") == render()
    assert TARGET.stat().st_size < 400_000


def test_every_kind_has_a_type():
    assert [kind.name for kind in KINDS if not shapes.type_of(kind.shape).fields] == []


def test_the_merge_table_names_only_fields_that_are_there():
    unknown = [
        place for place in [*shapes.MERGES, *shapes.ATOMIC_MAPS]
        if place[1] not in shapes.fields(place[0])
    ]  # fmt: skip
    assert unknown == []


@pytest.mark.parametrize(
    ("name", "go_name"),
    [
        ("V1VolumeMount", "VolumeMount"), ("CoreV1Event", "Event"), ("V2MetricSpec", "MetricSpec"),
        ("V1alpha3WorkloadPodGroup", "WorkloadPodGroup"),
    ],
)  # fmt: skip
def test_messages_call_a_type_by_its_name_in_go(name, go_name):
    assert shapes.Type(name, "", {}).go_name == go_name


def test_the_control_plane_does_without_the_official_client():
    code = (
        "import sys, lab_utils.controlplane.apply, lab_utils.controlplane.defaults,"
        "lab_utils.controlplane.validation as v; assert 'kubernetes' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def refusal(case: Create) -> str:
    try:
        unknown = schema.check(case.kind, case.body)
    except ApiError as exc:
        return exc.message
    assert case.strict
    why = f"strict decoding error: {', '.join(unknown)}"
    return schema.cannot_be_handled(case.kind, why).message


@pytest.mark.parametrize("case", creates(400, without=NOT_HERE))
def test_what_cannot_be_decoded_is_refused_in_kubernetes_words(case: Create):
    assert refusal(case) == case.response["message"]


@pytest.mark.parametrize("text", ["\u00b2", "a", "a==="])
def test_what_is_no_base64_is_a_bad_request(text: str):
    with pytest.raises(ApiError, match="illegal base64 data at input byte"):
        schema.drop_unknown("Secret", {"data": {"a": text}})


def test_unknown_fields_are_dropped():
    pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "imagee": "y"}]}}
    assert schema.drop_unknown("Pod", pod)["spec"]["containers"] == [{"name": "c"}]


def test_what_is_empty_is_not_written_but_an_empty_struct_is():
    volumes = [{"name": "v", "emptyDir": {}}]
    spec = {"hostNetwork": False, "nodeSelector": {}, "hostname": "", "volumes": volumes}
    assert schema.drop_unknown("Pod", {"spec": spec}) == {"spec": {"volumes": volumes}}


def test_zero_replicas_are_a_value():
    assert schema.drop_unknown("Deployment", {"spec": {"replicas": 0}})["spec"] == {"replicas": 0}


def test_a_null_in_a_map_is_an_empty_text():
    assert schema.drop_unknown("ConfigMap", {"data": {"k": None}}) == {"data": {"k": ""}}


def test_decoding_twice_changes_nothing():
    limits = {"cpu": "0.0001", "memory": "0.5Gi"}
    pod = {"spec": {"containers": [{"name": "c", "resources": {"limits": limits}}]}}
    once = schema.drop_unknown("Pod", pod)
    assert schema.drop_unknown("Pod", once) == once


def test_times_are_written_in_utc():
    spec = {"renewTime": "2026-01-01T01:00:00+01:00"}
    decoded = schema.drop_unknown("Lease", {"spec": spec})
    assert decoded["spec"]["renewTime"] == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("0.1", "100m"), (0.1, "100m"), ("1500m", "1500m"), ("2000m", "2"), (33554432, "33554432"),
        ("1e1", "10"), ("1e8", "100e6"), (100000000.0, "100M"), ("1.5Gi", "1536Mi"),
        ("1024Ki", "1Mi"), ("0.5Ki", "512"), ("0Mi", "0"), ("-1", "-1"), ("1n", "1n"),
        ("1e400", "9223372036854775807"),
    ],
)  # fmt: skip
def test_a_quantity_has_one_canonical_text(given, canonical):
    assert canonical_quantity(given) == canonical


def test_resources_are_rounded_up_to_a_thousandth():
    assert [round_to_milli(q) for q in ("100u", "1n", "100m", "2")] == ["1m", "1m", "100m", "2"]
