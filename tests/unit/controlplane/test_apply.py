import copy

import pytest

from lab_utils.controlplane.apply import record_update, server_side_apply
from lab_utils.controlplane.defaults import set_defaults
from lab_utils.controlplane.parsing import read_yaml
from lab_utils.controlplane.patch import json_patch, merge_patch, strategic_merge_patch
from lab_utils.controlplane.schema import drop_unknown
from lab_utils.controlplane.status import ApiError
from tests.tools.golden import patches

NOW = "2026-11-23T16:00:00Z"
# What is wrong with the request itself (ssa-12) is refused before: see test_api_recorded.
STORIES = [
    case for case in patches("ssa-")
    if "apply-patch" in case.values[0]["contentType"] and case.values[0]["code"] != 422
]  # fmt: skip
FACTS = ("uid", "resourceVersion", "creationTimestamp", "generation", "namespace")


def applied(kind: str, live: dict | None, wish: dict, manager: str, **options) -> dict:
    options = {"force": False, "now": NOW} | options
    result = server_side_apply(kind, live, wish, manager=manager, **options)
    return set_defaults(kind, drop_unknown(kind, result))


def comparable(obj: dict) -> dict:
    """Leave out times, and what the controllers wrote between two steps of a story."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in FACTS}
    entries = [
        {k: v for k, v in entry.items() if k != "time"}
        for entry in metadata.pop("managedFields", [])
        if entry["manager"] != "kube-controller-manager"
    ]
    entries.sort(key=lambda entry: (entry["manager"], entry["operation"]))
    rest = {k: v for k, v in obj.items() if k != "status"}
    return rest | {"metadata": metadata, "managedFields": entries}


@pytest.mark.parametrize("case", STORIES)
def test_server_side_apply_does_what_it_does_on_a_real_cluster(case: dict):
    _, _, query = case["request"].partition("fieldManager=")
    manager, _, force = query.partition("&")
    patch = case["patch"]
    wish = read_yaml(patch.encode()) if isinstance(patch, str) else patch
    if case["code"] == 409:
        with pytest.raises(ApiError) as refused:
            applied(wish["kind"], case["before"], wish, manager, force=bool(force))
        assert refused.value.as_status() == case["after"]
        return
    result = applied(wish["kind"], case["before"], wish, manager, force=bool(force))
    assert comparable(result) == comparable(case["after"])


RECORDED_UPDATES = [
    case for prefix in ("mp-", "jp-", "smp-", "ssa-10") for case in patches(prefix)
    if case.values[0]["before"]["metadata"].get("managedFields")
]  # fmt: skip


@pytest.mark.parametrize("case", RECORDED_UPDATES)
def test_an_update_takes_the_fields_it_changes(case: dict):
    before, patch = case["before"], case["patch"]
    kind = before["kind"]
    if isinstance(patch, list):
        new = json_patch(before, patch)
    elif "strategic" in case["contentType"]:
        new = strategic_merge_patch(kind, before, patch)
    else:
        new = merge_patch(before, patch)
    new = set_defaults(kind, drop_unknown(kind, new))
    manager = case["request"].partition("fieldManager=")[2]
    result = record_update(kind, before, new, manager=manager, now=NOW)
    assert comparable(result) == comparable(case["after"])


def test_who_removes_a_field_owns_it_no_more():
    old = record_update("ConfigMap", None, config_map(a="1", b="1"), manager="m", now=NOW)
    new = record_update("ConfigMap", old, old | {"data": {"a": "2"}}, manager="m", now=NOW)
    (entry,) = new["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {"f:data": {".": {}, "f:a": {}}}


def test_a_create_owns_everything_defaults_included():
    (case,) = patches("smp-container-image")
    created = copy.deepcopy(case.values[0]["before"])
    expected = created["metadata"].pop("managedFields")
    result = record_update("Deployment", None, created, manager="creator", now=NOW)
    (entry,) = result["metadata"]["managedFields"]
    assert entry["fieldsV1"] == expected[0]["fieldsV1"]


def test_the_scale_subresource_takes_only_the_replicas():
    (case,) = patches("ssa-21")
    before = case.values[0]["before"]
    new = copy.deepcopy(before)
    new["spec"]["replicas"] = 1
    result = record_update(
        "Deployment", before, new, manager="scaler", now=NOW, subresource="scale"
    )
    after = comparable(case.values[0]["after"])["managedFields"]
    assert comparable(result)["managedFields"] == after


def config_map(**data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": data}


def test_applying_the_same_twice_changes_nothing():
    once = applied("ConfigMap", None, config_map(a="1"), "one")
    again = server_side_apply(
        "ConfigMap", once, config_map(a="1"), manager="one", force=False, now="2027-01-01T00:00:00Z"
    )
    assert again == once


def test_a_conflict_names_every_manager_and_field():
    live = applied("ConfigMap", None, config_map(a="1", b="1"), "one")
    with pytest.raises(ApiError) as refused:
        applied("ConfigMap", live, config_map(a="2", b="2"), "two")
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\n- .data.b'
    )


def test_a_shared_field_stays_until_its_last_owner_lets_go():
    live = applied("ConfigMap", None, config_map(a="1"), "one")
    live = applied("ConfigMap", live, config_map(a="1"), "two")
    live = applied("ConfigMap", live, config_map(), "one")
    assert live["data"] == {"a": "1"}
    assert "data" not in applied("ConfigMap", live, config_map(), "two")


def test_status_is_written_through_its_subresource_only():
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    result = server_side_apply("Pod", None, pod, manager="m", force=False, now=NOW)
    assert "status" not in result
    result = server_side_apply(
        "Pod", result, pod, manager="kubelet", force=False, now=NOW, subresource="status"
    )
    assert result["status"] == {"phase": "Running"}
    assert [e["fieldsV1"] for e in result["metadata"]["managedFields"]] == [
        {"f:status": {"f:phase": {}}},
        {"f:spec": {"f:nodeName": {}}},
    ]


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"metadata": {"name": "cm"}, "dta": {}},
         "(/cm; /v1, Kind=ConfigMap): .dta: field not declared in schema"),
        ({"metadata": {"name": "cm", "finalizers": ["a/b", "a/b"]}},
         '(/cm; /v1, Kind=ConfigMap): .metadata.finalizers: duplicate entries for key [="a/b"]'),
    ],
    ids=["unknown field", "item twice"],
)  # fmt: skip
def test_what_is_applied_is_read_strictly(wish, text):
    with pytest.raises(ApiError) as refused:
        applied("ConfigMap", None, wish, "one")
    assert (refused.value.code, refused.value.message) == (
        500, f"failed to create typed patch object {text}",
    )  # fmt: skip


def test_the_order_of_a_merged_list_keeps_both_sides_where_it_can():
    def pod(*names: str) -> dict:
        return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": n} for n in names]}}

    live = server_side_apply("Pod", None, pod("a", "b", "c"), manager="m", force=False, now=NOW)
    merged = server_side_apply("Pod", live, pod("c", "x", "a"), manager="n", force=False, now=NOW)
    assert [c["name"] for c in merged["spec"]["containers"]] == ["b", "c", "x", "a"]
