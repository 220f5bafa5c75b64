"""Bodies as Go clients send them."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab_utils.controlplane import shapes
from lab_utils.controlplane.protobuf import PROTOBUF, Malformed, read_object
from lab_utils.controlplane.schema import drop_unknown
from tests.tools.protobuf_writer import varint, write_object
from tests.unit.controlplane.apiserver import Client

REFERENCE = Path(__file__).parents[2] / "reference"
RECORDED = sorted((REFERENCE / "defaulting").glob("*.output.json"))
CONFIG_MAPS = "/api/v1/namespaces/ref/configmaps"
NOT_IN_1_36 = {("V1NodeSystemInfo", "runningInUserNamespace")}


def flat(numbers: dict) -> set[str]:
    inner = (flat(value) if isinstance(value, dict) else {name} for name, value in numbers.items())
    return set().union(*inner)


def test_every_field_of_every_type_has_a_number():
    table = shapes.wire_numbers()
    missing = {
        (name, field)
        for name, struct in shapes.all_types().items() if not name.endswith("Metrics")
        for field in set(struct.fields) - flat(table.get(name, {})) - {"kind", "apiVersion"}
    }  # fmt: skip
    assert missing == NOT_IN_1_36


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name.removesuffix(".output.json"))
def test_an_object_is_the_same_in_protobuf_and_in_json(path: Path):
    obj = json.loads(path.read_text())
    read = read_object(write_object(obj["kind"], obj), obj["kind"])
    assert drop_unknown(obj["kind"], read) == drop_unknown(obj["kind"], obj)


def test_zeros_that_go_always_sends_are_no_values():
    body = write_object("Pod", {"metadata": {"name": "p", "generation": 0, "labels": {}}})
    assert read_object(body, "Pod") == {"metadata": {"name": "p"}}


def test_a_secret_an_event_and_managed_fields_keep_their_bytes_times_and_json():
    secret = {"data": {"a": "AP8="}, "metadata": {"managedFields": [{"fieldsV1": {"f:data": {}}}]}}
    assert read_object(write_object("Secret", secret), "Secret") == secret
    event = {"eventTime": "2026-11-23T16:00:00.123456Z", "firstTimestamp": "2026-11-23T16:00:00Z"}
    assert read_object(write_object("Event", event), "Event") == event


def test_a_negative_number_and_a_list_in_a_map():
    job = {"spec": {"parallelism": -1}}
    assert read_object(write_object("Job", job), "Job") == job
    review = {"spec": {"user": "u", "extra": {"k": ["a", "b"]}}}
    name = "SubjectAccessReview"
    assert read_object(write_object(name, review), name) == review


def test_numbers_may_come_many_in_a_piece():
    def nested(number: int, data: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(data)) + data

    context = nested(4, b"\x01\x02")  # supplementalGroups, packed
    pod = nested(2, nested(14, context))  # in spec.securityContext
    read = read_object(b"k8s\0" + nested(2, pod), "Pod")
    assert read["spec"]["securityContext"]["supplementalGroups"] == [1, 2]


def test_another_kind_shows_only_what_it_is():
    body = write_object("Pod", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}})
    assert read_object(body, "ConfigMap") == {"apiVersion": "v1", "kind": "Pod"}


@given(st.binary())
def test_no_bytes_crash_the_reader(noise: bytes):
    with contextlib.suppress(Malformed):
        read_object(b"k8s\0" + noise, "Pod")


@given(st.integers(0, 400))
def test_half_a_message_is_refused_or_a_part_of_it(length: int):
    whole = write_object("Pod", json.loads((REFERENCE / "defaulting" / "pod-probes.output.json")
                                           .read_text()))  # fmt: skip
    with contextlib.suppress(Malformed):
        assert isinstance(read_object(whole[: 4 + length], "Pod"), dict)


def test_the_server_takes_protobuf_and_answers_in_json(http: Client):
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pb"}, "data": {"a": "1"}}
    accept = {"Accept": f"{PROTOBUF},application/json"}
    body = write_object("ConfigMap", obj)
    made = http.request("POST", CONFIG_MAPS, body, content_type=PROTOBUF, headers=accept)
    assert (made.status, made.headers["Content-Type"]) == (201, "application/json")
    assert made.json()["data"] == {"a": "1"}
    options = write_object("DeleteOptions", {"preconditions": {"uid": "another"}})
    path = f"{CONFIG_MAPS}/pb"
    assert http.request("DELETE", path, options, content_type=PROTOBUF).status == 409


def test_who_takes_only_protobuf_is_told_what_there_is(http: Client):
    answer = http.get(CONFIG_MAPS, headers={"Accept": PROTOBUF})
    assert (answer.status, answer.json()["reason"]) == (406, "NotAcceptable")


def test_what_is_no_protobuf_is_a_bad_request(http: Client):
    answer = http.request("POST", CONFIG_MAPS, b'{"a": 1}', content_type=PROTOBUF)
    assert answer.status == 400
    assert "does not appear to be a protobuf message" in answer.json()["message"]
