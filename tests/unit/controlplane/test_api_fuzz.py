"""Anything sent to the API in any order: no failure of the server, no lost event of a watch.

The walks are random but seeded: what may be sent depends on what is there, which a shrinking
generator cannot follow. What a real server refuses is refused here too: that is
`test_api_recorded`, hundreds of cases.
"""

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import MultiDict

from lab_utils.controlplane.kinds import BY_NAME, STORED, Kind
from lab_utils.controlplane.options import list_options
from lab_utils.controlplane.watch import Watch
from tests.tools.golden import Create, creates
from tests.unit.controlplane.apiserver import Answer, ApiServer, Client
from tests.unit.controlplane.test_robustness import spots

PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
KINDS = {kind.name: kind for kind in STORED}
BODIES = [case.values[0] for case in creates(201, 400, 403, 422)]
VALID = [case.values[0] for case in creates(201)]
QUERIES = ("", "", "dryRun=All", "fieldValidation=Strict", "force=true", "fieldManager=fuzz",
           "fieldManager=fuzz&force=true")  # fmt: skip
SCALARS = (None, 0, -1, 1.5, 2**40, True, False, "", "x", "None", "1Gi", "name", "a/b/c", "\u00b2")
SINGLE_SUBRESOURCES = ("", "", "", "status", "scale", "finalize")


def path_of(kind: Kind, name: str = "", subresource: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    inside = "/namespaces/ref" if kind.namespaced else ""
    parts = (quote(part, safe="") for part in (name, subresource) if part)
    return "/".join((f"{root}{inside}/{kind.plural}", *parts))


def is_crash(answer: Answer) -> bool:
    return b"see the log of the control plane" in answer.body


def junk(rng: random.Random) -> Any:
    if rng.random() < 0.7:
        return rng.choice(SCALARS)
    return rng.choice([[], {}, [rng.choice(SCALARS)], {rng.choice("ab"): rng.choice(SCALARS)}])


def spoil(rng: random.Random, body: Any) -> Any:
    """Give a body with up to two of its values changed."""
    body = copy.deepcopy(body)
    for _ in range(rng.choice([0, 1, 1, 2])):
        places = list(spots(body)) if isinstance(body, dict | list) else []
        if places:
            holder, key = rng.choice(places)
            holder[key] = junk(rng)
    return body


@dataclass
class Replay:
    """What a client believes that only watches."""

    watch: Watch
    objects: dict[tuple[str, str], dict] = field(default_factory=dict)

    def catch_up(self) -> None:
        for change, obj in self.watch.take():
            key = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
            assert (key in self.objects) is (change != "ADDED"), (change, key)
            if change == "DELETED":
                del self.objects[key]
            else:
                self.objects[key] = obj


@pytest.fixture(scope="module")
def replays(api: ApiServer) -> Iterator[dict[str, Replay]]:
    """Give a watch of every kind, started at once."""
    store = api.registry.store
    found = {
        name: Replay(Watch(store, kind, None, list_options(MultiDict(), kind)))
        for name, kind in KINDS.items()
    }
    for replay in found.values():
        api.call(replay.watch.start, lambda: None)
    yield found
    for replay in found.values():
        api.call(replay.watch.close)


class Session:
    """One random walk."""

    def __init__(self, http: Client, seed: int) -> None:
        self.http, self.rng = http, random.Random(seed)

    def send(self, method: str, path: str, body: Any = None, media: str = "json") -> Answer:
        query = self.rng.choice(QUERIES)
        sent = None if body is None else json.dumps(body)
        answer = self.http.request(
            method, f"{path}?{query}", sent, content_type=f"application/{media}"
        )
        assert not is_crash(answer), (method, path, query, media, body, answer.body)
        return answer

    def step(self) -> None:
        action = self.rng.choice([self.create, self.create, self.change, self.patch, self.delete,
                                  self.ask, self.subresource])  # fmt: skip
        action()

    def create(self) -> None:
        case: Create = self.rng.choice(BODIES)
        self.send("POST", path_of(KINDS[case.kind]), spoil(self.rng, case.body))

    def ask(self) -> None:
        kind = self.rng.choice([one for one in BY_NAME.values() if one.verbs == ("create",)])
        path = f"/apis/{kind.group}/{kind.version}/{kind.plural}"
        body = {"kind": kind.name, "spec": {"user": "u", "resourceAttributes": {"verb": "get"}}}
        self.send("POST", path, spoil(self.rng, body))

    def pick(self) -> tuple[Kind, dict]:
        """Choose an object that is there, or make one."""
        case: Create = self.rng.choice(VALID)
        kind = KINDS[case.kind]
        self.http.post(path_of(kind), case.body)
        listed = self.http.get(path_of(kind)).json()["items"]
        obj = self.rng.choice(listed) if listed else case.body
        return kind, obj | {"kind": kind.name, "apiVersion": kind.api_version}

    def change(self) -> None:
        kind, obj = self.pick()
        inner = self.rng.choice(SINGLE_SUBRESOURCES)
        path = path_of(kind, obj["metadata"].get("name", "x"), inner)
        self.send("PUT", path, spoil(self.rng, obj))

    def patch(self) -> None:
        kind, obj = self.pick()
        media = self.rng.choice(PATCHES)
        part = self.rng.choice(sorted(obj))
        patch: Any = spoil(self.rng, {part: obj[part]} | (obj if "apply" in media else {}))
        if media.startswith("json-patch"):
            places = ["/metadata/labels", "/spec", "/data", f"/{part}", "/metadata/name", ""]
            path = self.rng.choice(places)
            operation = self.rng.choice(["add", "remove", "replace", "test"])
            patch = [{"op": operation, "path": path, "value": junk(self.rng)}]
        inner = self.rng.choice(SINGLE_SUBRESOURCES)
        path = path_of(kind, obj["metadata"].get("name", "x"), inner)
        self.send("PATCH", path, patch, media)

    def delete(self) -> None:
        kind, obj = self.pick()
        if obj["metadata"].get("name") in ("ref", "default", "kube-system"):
            return
        options = spoil(self.rng, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        self.send("DELETE", path_of(kind, obj["metadata"].get("name", "x")), options)

    def subresource(self) -> None:
        self.http.post(path_of(KINDS["Pod"]), {"metadata": {"name": "fuzz"}, "spec": {
            "containers": [{"name": "c", "image": "web:1"}]}})  # fmt: skip
        name = self.rng.choice(["binding", "eviction", "log"])
        body = {"metadata": {"name": "fuzz"}, "target": {"kind": "Node", "name": "n"}}
        method = "GET" if name == "log" else "POST"
        path = path_of(KINDS["Pod"], "fuzz", name)
        self.send(method, path, None if name == "log" else spoil(self.rng, body))


@pytest.mark.parametrize("seed", range(12))
def test_nothing_breaks_the_server_and_no_watch_misses_a_change(
    http: Client, api: ApiServer, replays: dict[str, Replay], seed: int
) -> None:
    session = Session(http, seed)
    for _ in range(60):
        session.step()
    for name, replay in replays.items():
        api.call(replay.catch_up)
        listed = api.call(api.registry.list, name)
        assert sorted(replay.objects.values(), key=str) == sorted(listed, key=str)


@settings(max_examples=150, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    name=st.sampled_from(["limit", "continue", "labelSelector", "fieldSelector", "watch", "force",
                          "resourceVersion", "resourceVersionMatch", "timeoutSeconds", "dryRun",
                          "fieldManager", "fieldValidation", "propagationPolicy", "pretty",
                          "gracePeriodSeconds", "sendInitialEvents", "includeObject"]),
    value=st.text(max_size=12) | st.sampled_from(["All", "0", "-1", "a=b", "a in (b)", "!a"]),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    table=st.booleans(),
)  # fmt: skip
def test_no_parameter_breaks_the_server(
    http: Client, name: str, value: str, method: str, table: bool
) -> None:
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"} if table else {}
    ending = "&timeoutSeconds=1" if name in ("watch", "sendInitialEvents") else ""
    path = f"{path_of(KINDS['ConfigMap'])}?dryRun=All&{name}={quote(value, safe='')}{ending}"
    answer = http.request(method, path, "{}", content_type="application/json", headers=accept)
    assert not is_crash(answer), answer.body
