"""Label and field selectors: what they choose; refusals are in the recorded requests."""

import pytest

from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.selectors import (
    label_selector,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "a", "n": "5"}
CASES = {
    "": True, "app": True, "!app": False, "old": False, "!old": True, "app=web": True,
    "app==web": True, "app=db": False, "app!=db": True, "old!=x": True, "app in (web, db)": True,
    "app notin (web)": False, "old notin (x)": True, "app=web,tier=b": False, "n>4": True,
    "n<5": False, "app>1": False, "app in (web),!old,n>1": True, "old=": False, "x/app": False,
}  # fmt: skip


@pytest.mark.parametrize(("text", "chosen"), CASES.items(), ids=lambda value: str(value) or "empty")
def test_a_label_selector_chooses(text: str, chosen: bool) -> None:
    assert parse_label_selector(text).matches(LABELS) is chosen


def test_a_selector_object_means_the_same_as_its_text() -> None:
    rule = {"key": "tier", "operator": "In", "values": ["a"]}
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [rule]}
    assert set(label_selector(selector).requirements) == set(
        parse_label_selector("app=web,tier in (a)").requirements
    )


def test_an_empty_selector_object_chooses_everything() -> None:
    assert label_selector({}).matches(None)


POD = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("spec.nodeName=n1", True),
        ("spec.nodeName!=n1", False),
        ("status.phase==Running,metadata.name=p", True),
        ("status.podIP=", True),
        ("spec.hostNetwork=false", True),
    ],
)
def test_a_field_selector_chooses(text: str, chosen: bool) -> None:
    assert parse_field_selector(BY_NAME["Pod"], text)(POD) is chosen


def test_events_are_found_by_what_they_are_about() -> None:
    event = {"metadata": {}, "involvedObject": {"uid": "u"}, "source": {"component": "kubelet"}}
    selects = parse_field_selector(BY_NAME["Event"], "involvedObject.uid=u,source=kubelet")
    assert selects(event)
