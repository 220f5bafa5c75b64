"""However wrong an object is, the answer is a refusal in Kubernetes' words, never a crash."""

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lab_utils.controlplane.apply import record_update, server_side_apply
from lab_utils.controlplane.defaults import set_defaults
from lab_utils.controlplane.patch import json_patch, strategic_merge_patch
from lab_utils.controlplane.podsecurity import violations
from lab_utils.controlplane.schema import check, drop_unknown
from lab_utils.controlplane.status import ApiError
from lab_utils.controlplane.validation import validate
from tests.tools.golden import Create, creates

NOW = "2026-01-01T00:00:00Z"
CASES = [case.values[0] for case in creates(201, 400, 403, 422)]
SCALARS = st.sampled_from([None, 0, -1, 1.5, 2**40, True, False, "", "x", "None", "1Gi", "name"])
KEYS = st.text(max_size=4)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner),
    max_leaves=3,
)


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """List every (holder, key) inside a value."""
    keys = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(keys):
        yield value, key
        if isinstance(inner, dict | list):
            yield from spots(inner)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    case: Create = draw(st.sampled_from(CASES))
    body = copy.deepcopy(case.body)
    for _ in range(draw(st.integers(1, 2))):
        places = list(spots(body))
        if places:
            holder, key = draw(st.sampled_from(places))
            holder[key] = draw(JUNK)
    return case.kind, body


def take(kind: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """Take an object through all that a create goes through; None where it is refused."""
    try:
        check(kind, body)
        obj = set_defaults(kind, drop_unknown(kind, body))
    except ApiError:
        return None
    validate(kind, obj, None)
    validate(kind, obj, obj)
    if kind == "Pod":
        violations("restricted", {}, obj["spec"])
        violations("baseline", {}, obj["spec"])
    return record_update(kind, None, obj, manager="m", now=NOW)


@settings(max_examples=300, deadline=None)
@given(spoilt())
def test_a_spoilt_object_is_taken_or_refused(spoilt: tuple[str, dict[str, Any]]):
    kind, body = spoilt
    obj = take(kind, body)
    if obj is None:
        return
    assert drop_unknown(kind, drop_unknown(kind, body)) == drop_unknown(kind, body)
    with suppress(ApiError):
        server_side_apply(kind, obj, body, manager="n", force=True, now=NOW)
    with suppress(ApiError):
        strategic_merge_patch(kind, obj, body)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), JUNK) | JUNK))
def test_a_spoilt_json_patch_is_applied_or_refused(ops: list[Any]):
    with suppress(ApiError):
        json_patch({"data": {"a": "1"}, "list": [{"name": "x"}]}, ops)
