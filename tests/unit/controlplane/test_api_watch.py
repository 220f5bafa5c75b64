"""Watches over real sockets."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest
from multidict import MultiDict

from lab_utils.controlplane import watch
from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.options import list_options
from lab_utils.controlplane.store import HISTORY, Store
from lab_utils.controlplane.watch import MAX_PENDING, Watch
from tests.unit.controlplane.apiserver import TOKEN, ApiServer, Client, pod

PODS = "/api/v1/namespaces/ref/pods"
DEADLINE_S = 10.0


class Stream:
    """The client's end of a watch, line by line."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.lines: list[bytes] = []
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() != b"\r\n":
            pass

    def event(self) -> dict | None:
        """Read the next event; None at the end. A chunk may hold several."""
        if not self.lines:
            size = int(self.file.readline().strip() or b"0", 16)
            self.lines = self.file.read(size + 2).splitlines()[:-1] if size else []
        return json.loads(self.lines.pop(0)) if self.lines else None


@contextmanager
def watching(api: ApiServer, path: str, **parameters: object) -> Iterator[Stream]:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    context = ssl.create_default_context(cafile=str(api.ca))
    with (
        socket.create_connection(("127.0.0.1", api.port), timeout=DEADLINE_S) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        head = f"GET {path}?watch=1&{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        connection.sendall(f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
        with connection.makefile("rb") as file:
            yield Stream(file)


def summary(event: dict) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


def now(api: ApiServer) -> int:
    return api.registry.store.revision


def subscribers(api: ApiServer) -> int:
    """Count the watches; the server itself follows its store too."""
    told = api.registry.store._subscribers
    return sum(isinstance(getattr(one, "__self__", None), Watch) for one in told)


def wait_until(condition, what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_watch_is_left(api: ApiServer) -> Iterator[None]:
    yield
    wait_until(lambda: subscribers(api) == 0, "a watch outlived its client")
    for obj in api.registry.list("Pod"):
        api.call(api.registry.delete, "Pod", "ref", obj["metadata"]["name"], grace_s=0)


def test_a_watch_shows_what_is_there_and_what_comes(api: ApiServer) -> None:
    api.call(api.registry.create, "Pod", pod("old"))
    with watching(api, PODS) as stream:
        assert summary(stream.event()) == ("ADDED", "old")
        api.call(api.registry.create, "Pod", pod("new"))
        assert summary(stream.event()) == ("ADDED", "new")


def test_a_watch_from_a_revision_replays_what_was_missed(api: ApiServer) -> None:
    start = now(api)
    api.call(api.registry.create, "Pod", pod())
    api.call(api.registry.delete, "Pod", "ref", "p")
    with watching(api, PODS, resourceVersion=start) as stream:
        types = [stream.event()["type"] for _ in range(3)]
    assert types == ["ADDED", "MODIFIED", "DELETED"]


@pytest.mark.fault(29)
def test_a_forgotten_revision_is_an_error_event_in_a_200(api: ApiServer) -> None:
    start = now(api)
    for _ in range(HISTORY + 1):
        kept = {"metadata": {"name": "c", "namespace": "ref", "labels": {"n": str(now(api))}}}
        api.call(api.registry.update, "Service", kept | {"spec": {"ports": [{"port": 80}]}})
    with watching(api, PODS, resourceVersion=start) as stream:
        error = stream.event()
        assert (stream.status, error["type"]) == (200, "ERROR")
        assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
        assert stream.event() is None


def test_what_leaves_the_selection_is_deleted_for_the_watcher(api: ApiServer) -> None:
    merge = {"content_type": "application/merge-patch+json"}
    with watching(api, PODS, labelSelector="app%3Dweb", resourceVersion=now(api)) as stream:
        api.call(api.registry.create, "Pod", pod())
        for value in ("db", "web"):
            labels = {"metadata": {"labels": {"app": value}}}
            api.call(api.registry.patch, "Pod", "ref", "p", labels, **merge)
        types = [stream.event()["type"] for _ in range(3)]
    assert types == ["ADDED", "DELETED", "ADDED"]


@pytest.mark.fault(29)
def test_time_out_ends_a_watch_and_a_bookmark_says_how_far_it_came(api: ApiServer) -> None:
    began = time.monotonic()
    options = {"timeoutSeconds": 1, "allowWatchBookmarks": "true", "resourceVersion": now(api)}
    with watching(api, PODS, **options) as stream:
        bookmark = stream.event()
        assert stream.event() is None
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["resourceVersion"] == str(now(api))
    assert 0.9 < time.monotonic() - began < 5


def test_a_busy_watch_gets_its_bookmarks_too(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BOOKMARK_S", 0.05)
    options = {"allowWatchBookmarks": "true", "resourceVersion": now(api)}
    with watching(api, PODS, **options) as stream:
        seen: list[str] = []
        while seen.count("BOOKMARK") < 2 or "ADDED" not in seen:
            if "ADDED" not in seen:
                api.call(api.registry.create, "Pod", pod(f"p{len(seen)}"))
            seen.append(stream.event()["type"])


def test_a_bookmark_of_a_metadata_watch_is_metadata(api: ApiServer) -> None:
    accept = {"Accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
    query = f"watch=1&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={now(api)}"
    (line,) = Client(api).get(f"{PODS}?{query}", headers=accept).body.splitlines()
    assert json.loads(line)["object"]["kind"] == "PartialObjectMetadata"


def test_the_end_of_the_initial_events_is_marked(api: ApiServer) -> None:
    options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    with watching(api, PODS, allowWatchBookmarks="true", **options) as stream:
        annotations = stream.event()["object"]["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


@pytest.mark.fault(29)
def test_a_vanished_client_ends_its_watch(api: ApiServer) -> None:
    with watching(api, PODS):
        wait_until(lambda: subscribers(api) == 1, "the watch did not start")
    wait_until(lambda: subscribers(api) == 0, "the watch did not end")


@pytest.mark.fault(29)
def test_a_slow_reader_is_cut_off(api: ApiServer) -> None:
    big = pod()
    big["metadata"]["annotations"] = {"a": "x" * 200_000}
    api.call(api.registry.create, "Pod", big)
    with watching(api, PODS, resourceVersion=now(api)):
        wait_until(lambda: subscribers(api) == 1, "the watch did not start")
        for i in range(MAX_PENDING + 100):
            if subscribers(api) == 0:
                break
            patch = {"metadata": {"labels": {"n": str(i)}}}
            merge = "application/merge-patch+json"
            api.call(api.registry.patch, "Pod", "ref", "p", patch, content_type=merge)
        wait_until(lambda: subscribers(api) == 0, "the slow reader was not cut off")


def test_a_table_watch_has_its_columns_once(api: ApiServer) -> None:
    api.call(api.registry.create, "Pod", pod("a"))
    api.call(api.registry.create, "Pod", pod("b"))
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    answer = Client(api).get(f"{PODS}?watch=1&timeoutSeconds=1", headers=accept)
    first, second = (json.loads(line)["object"] for line in answer.body.splitlines())
    assert first["columnDefinitions"][0]["name"] == "Name"
    assert second["columnDefinitions"] is None
    assert second["rows"][0]["cells"][0] == "b"


def test_a_watch_is_lines_of_json_even_for_who_likes_yaml(api: ApiServer) -> None:
    api.call(api.registry.create, "Pod", pod())
    accept = {"Accept": "application/yaml"}
    answer = Client(api).get(f"{PODS}?watch=1&timeoutSeconds=1", headers=accept)
    assert json.loads(answer.body)["object"]["kind"] == "Pod"


async def test_an_event_at_the_last_moment_comes_before_the_bookmark() -> None:
    row, store = BY_NAME["ConfigMap"], Store()
    watch = Watch(store, row, None, list_options(MultiDict(), row))
    watch.start(on_overflow=lambda: None)
    waiting = asyncio.create_task(watch.next(0))
    await asyncio.sleep(0)
    late = store.put("ConfigMap", {"metadata": {"name": "late", "namespace": "ref"}})
    assert await waiting == [("ADDED", late)]
