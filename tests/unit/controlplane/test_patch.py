import copy

import pytest

from lab_utils.controlplane.defaults import set_defaults
from lab_utils.controlplane.patch import json_patch, merge_patch, strategic_merge_patch
from lab_utils.controlplane.schema import drop_unknown
from lab_utils.controlplane.status import ApiError
from lab_utils.controlplane.validation import validate
from tests.tools.golden import patches

VOLATILE = ("resourceVersion", "generation", "managedFields")


def patched(case: dict) -> dict:
    before, patch = case["before"], case["patch"]
    if case["contentType"] == "application/json-patch+json":
        result = json_patch(before, patch)
    elif case["contentType"] == "application/merge-patch+json":
        result = merge_patch(before, patch)
    else:
        result = strategic_merge_patch(before["kind"], before, patch)
    return set_defaults(before["kind"], drop_unknown(before["kind"], result))


def comparable(obj: dict) -> dict:
    """Leave out what the server or a controller changes meanwhile."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in VOLATILE}
    return {k: v for k, v in obj.items() if k != "status"} | {"metadata": metadata}


@pytest.mark.parametrize("case", [*patches("jp-"), *patches("mp-"), *patches("smp-")])
def test_patches_do_what_they_do_on_a_real_cluster(case: dict):
    untouched = copy.deepcopy(case["before"])
    result = patched(case)
    assert case["before"] == untouched
    if case["code"] == 200:
        assert comparable(result) == comparable(case["after"])
    else:
        causes = validate(untouched["kind"], result, untouched)
        expected = case["after"]["details"]["causes"]
        assert [c.as_dict() for c in causes] == [
            c for i, c in enumerate(expected) if c not in expected[:i]
        ]


MAP = {"data": {"a": "1"}, "list": ["x"]}


@pytest.mark.parametrize(
    "op",
    [
        {"op": "foo", "path": "/data/a", "value": "1"},
        {"op": "test", "path": "/data/a", "value": "9"},
        {"op": "add", "value": "1"},
        {"op": "remove", "path": "/data/zzz"},
        {"op": "replace", "path": "/list/7", "value": "1"},
        {"op": "replace", "path": "/list/-1", "value": "1"},
        {"op": "add", "path": "/metadata/labels/x", "value": "1"},
        {"op": "add", "path": "data", "value": {}},
        {"op": "add", "path": "/data/a/b", "value": {}},
        {"op": "remove", "path": ""},
        {"op": "add", "path": 5, "value": 1},
        "add",
    ],
    ids=str,
)
def test_an_operation_that_cannot_be_applied_is_refused(op):
    with pytest.raises(ApiError, match="the server rejected our request") as refused:
        json_patch(MAP, [op])
    assert refused.value.code == 422


@pytest.mark.parametrize(
    ("op", "data"),
    [
        ({"op": "replace", "path": "/data/z", "value": "1"}, {"a": "1", "z": "1"}),
        ({"op": "add", "path": "/data/q"}, {"a": "1", "q": None}),
        ({"op": "copy", "from": "/data/z", "path": "/data/y"}, {"a": "1", "y": None}),
    ],
    ids=["replace of an absent key", "add without a value", "copy of an absent key"],
)
def test_json_patch_is_as_lenient_as_on_a_real_cluster(op, data):
    assert json_patch(MAP, [op])["data"] == data


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ({"containers": [{"image": "x"}]},
         "map: map[image:x] does not contain declared merge key: name"),
        ({"$patch": "foo"}, "unknown patch type: foo in map: map[$patch:foo]"),
        ({"$setElementOrder/containers": [{"name": "zz"}],
          "containers": [{"name": "n", "image": "x"}]},
         "The order in patch list:\n[map[image:x name:n]]\n doesn't match $setElementOrder list:\n"
         "[map[name:zz]]\n"),
    ],
    ids=["no merge key", "unknown directive", "order does not match"],
)  # fmt: skip
def test_a_wrong_directive_is_refused_in_kubernetes_words(pod, message):
    patch = {"spec": {"template": {"spec": pod}}}
    with pytest.raises(ApiError) as refused:
        strategic_merge_patch("Deployment", {"spec": {"template": {"spec": {}}}}, patch)
    assert (refused.value.code, refused.value.message) == (500, message)


def test_what_kubectl_sends_to_remove_a_container_and_add_one():
    live = {"spec": {"containers": [{"name": "c"}, {"name": "s"}]}}
    change = {
        "$setElementOrder/containers": [{"name": "n"}, {"name": "c"}],
        "containers": [{"name": "n"}, {"$patch": "delete", "name": "s"}],
    }
    result = strategic_merge_patch("Pod", live, {"spec": change})
    assert result["spec"] == {"containers": [{"name": "n"}, {"name": "c"}]}


@pytest.mark.parametrize(
    ("directive", "what"),
    [
        ({"$retainKeys": 1}, "retainKeys"),
        ({"$setElementOrder/containers": 1}, "setElementOrder list"),
    ],
    ids=["retainKeys", "setElementOrder"],
)
def test_a_directive_that_is_no_list_is_refused(directive, what):
    with pytest.raises(ApiError, match=f"invalid patch format of {what}"):
        strategic_merge_patch("Pod", {"spec": {"containers": []}}, {"spec": directive})


def test_a_merge_key_that_is_an_object_is_left_to_the_decoder():
    live = {"spec": {"hostAliases": [{"ip": "::1"}]}}
    change = {"spec": {"hostAliases": [{"ip": {"x": None}}, {"ip": "::1"}]}}
    result = strategic_merge_patch("Pod", live, change)
    assert {"ip": {}} in result["spec"]["hostAliases"]
