"""The store: revisions, history and subscriptions."""

import pytest

from lab_utils.controlplane.status import ApiError
from lab_utils.controlplane.store import Change, Store


def thing(name: str, namespace: str = "ns", **rest: object) -> dict:
    return {"metadata": {"name": name, "namespace": namespace}} | rest


def test_every_commit_gets_the_next_revision() -> None:
    store = Store()
    versions = [store.put("Pod", thing(name))["metadata"]["resourceVersion"] for name in "ab"]
    removed = store.remove("Pod", "ns", "a")
    assert [*versions, removed["metadata"]["resourceVersion"]] == ["2", "3", "4"]


def test_a_list_is_sorted_by_namespace_and_name() -> None:
    store = Store()
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y")):
        store.put("Pod", thing(name, namespace))
    assert [obj["metadata"]["name"] for obj in store.list("Pod")] == ["y", "z", "x"]
    assert [obj["metadata"]["name"] for obj in store.list("Pod", "b")] == ["x"]


def test_a_removed_object_keeps_its_last_version_untouched() -> None:
    store = Store()
    last = store.put("Pod", thing("a"))
    store.remove("Pod", "ns", "a")
    assert last["metadata"]["resourceVersion"] == "2"


def test_a_list_of_the_past_shows_what_was_there_then() -> None:
    store = Store()
    store.put("Pod", thing("kept", v=1))
    store.put("Pod", thing("gone"))
    then = store.revision
    store.put("Pod", thing("kept", v=2))
    store.remove("Pod", "ns", "gone")
    store.put("Pod", thing("new"))
    past = store.list_at("Pod", "ns", then)
    assert [(obj["metadata"]["name"], obj.get("v")) for obj in past] == [
        ("gone", None),
        ("kept", 1),
    ]


def test_changes_since_a_revision_come_in_order() -> None:
    store = Store()
    for name in "abc":
        store.put("Pod", thing(name))
    assert [change.revision for change in store.changes_since(2)] == [3, 4]
    assert list(store.changes_since(store.revision + 5)) == []


def test_a_revision_older_than_the_log_is_expired() -> None:
    store = Store(history=2)
    for name in "abcd":
        store.put("Pod", thing(name))
    assert len(store.changes_since(3)) == 2
    with pytest.raises(ApiError, match=r"too old resource version: 2 \(3\)") as refusal:
        store.changes_since(2)
    assert (refusal.value.code, refusal.value.reason) == (410, "Expired")


def test_subscribers_hear_of_each_commit_until_they_leave() -> None:
    store, heard = Store(), list[Change]()
    leave = store.subscribe(heard.append)
    store.put("Pod", thing("a"))
    store.put("Pod", thing("a"))
    store.remove("Pod", "ns", "a")
    leave()
    store.put("Pod", thing("b"))
    assert [change.type for change in heard] == ["ADDED", "MODIFIED", "DELETED"]
    assert heard[0].previous is None
    assert heard[1].previous is heard[0].object
