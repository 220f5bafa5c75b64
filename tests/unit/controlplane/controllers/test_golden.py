"""Every reconciler against golden pairs: a moment in, the actions out."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.actions import (
    Action,
    Bind,
    Create,
    Delete,
    Emit,
    Note,
    Requeue,
    Update,
)
from lab_utils.controlplane.controllers.loop import CONTROLLERS
from lab_utils.controlplane.controllers.objects import key_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.kinds import BY_NAME
from lab_utils.controlplane.status import Object

FOLDER = Path(__file__).parents[3] / "reference" / "controllers"
CASES = sorted(path.name.removesuffix(".input.yaml") for path in FOLDER.glob("*.input.yaml"))
CONFIG = ClusterConfig(name="test", run_id="test", nodes=(), host_ports={})


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.mark.parametrize("case", CASES)
def test_reconciling_gives_the_golden_actions(case: str, request: pytest.FixtureRequest) -> None:
    moment = yaml.safe_load((FOLDER / f"{case}.input.yaml").read_text())
    seen = [shown(action, world) for action, world in reconciled(case.split(".")[0], moment)]
    golden = FOLDER / f"{case}.output.yaml"
    if request.config.getoption("--update-golden"):
        golden.write_text(yaml.dump(seen, Dumper=_Plain, sort_keys=False, width=110))
    assert seen == yaml.safe_load(golden.read_text())


@pytest.mark.parametrize("case", CASES)
def test_reconciling_edits_nothing_that_is_in_the_store(case: str) -> None:
    moment = yaml.safe_load((FOLDER / f"{case}.input.yaml").read_text())
    untouched = yaml.safe_load((FOLDER / f"{case}.input.yaml").read_text())
    list(reconciled(case.split(".")[0], moment))
    assert moment["world"] == [completed(obj) for obj in untouched["world"]]


def reconciled(prefix: str, moment: Object) -> Iterator[tuple[Action, World]]:
    """Run the module's reconciler over the moment."""
    kind, name = moment["reconcile"].split("/")
    controller = next(
        row
        for row in CONTROLLERS
        if row.reconcile.__module__.endswith(f".{prefix}") and row.kind in (kind, "*")
    )
    clock = [0.0]
    world = World(
        CONFIG,
        ca="(certificate)",
        objects=[*map(completed, moment["world"]), *surroundings(moment["world"])],
        measured=lambda _namespace, name: moment.get("measured", {}).get(name),
        monotonic=lambda: clock[0],
    )
    clock[0] = moment.get("silence_s", 0)
    world.refusals |= moment.get("refusals", {})
    world.notes |= moment.get("notes", {})
    found = world.get(kind, "lab", name) or world.get(kind, "", name)
    assert found is not None
    for action in controller.reconcile(found, world, datetime.fromisoformat(moment["now"])):
        yield action, world


def completed(obj: Object) -> Object:
    """Fill in what the README of the folder says inputs leave out."""
    row, metadata = BY_NAME[obj["kind"]], obj["metadata"]
    obj.setdefault("apiVersion", row.api_version)
    if row.namespaced:
        metadata.setdefault("namespace", "lab")
    metadata.setdefault("uid", f"{metadata['name']}-uid")
    metadata.setdefault("resourceVersion", "1")
    metadata.setdefault("creationTimestamp", "2026-11-23T15:00:00Z")
    if row.counts_generations:
        metadata.setdefault("generation", 1)
    return obj


def surroundings(given: list[Object]) -> list[Object]:
    """Give the namespace that every namespaced object lives in, unless the input has its own."""
    if any(obj["kind"] == "Namespace" for obj in given):
        return []
    return [completed({"kind": "Namespace", "metadata": {"name": "lab"}})]


def shown(action: Action, world: World) -> dict[str, Any]:
    """Write an action for a reader: an update as what changed, an object as its name."""
    what = type(action).__name__.lower()
    match action:
        case Create(obj, done):
            return {what: obj} | ({"done": shown(done, world)} if done else {})
        case Update(obj, part):
            before = world.get(*key_of(obj))
            name = f"{obj['kind']}/{obj['metadata']['name']}" + (f"/{part}" if part else "")
            return {what: name, "changed": changed(before or {}, obj, part)}
        case Emit():
            regarding = f"{action.regarding['kind']}/{action.regarding['metadata']['name']}"
            told = f"{action.type} {action.reason}: {action.message}"
            return {what: told, "regarding": regarding, "component": action.component}
        case Delete(obj):
            about = dict(zip(("kind", "namespace", "name"), key_of(obj), strict=True))
            about |= {"uid": obj["metadata"]["uid"]}
            how = {"grace_s": action.grace_s, "propagation": action.propagation}
            return {what: about | {key: value for key, value in how.items() if value is not None}}
        case Bind(pod, node):
            _, namespace, name = key_of(pod)
            return {what: {"namespace": namespace, "pod": name, "node": node}}
        case Note(by, obj, text):
            return {what: text, "by": by, "regarding": f"{obj['kind']}/{obj['metadata']['name']}"}
        case Requeue():
            return {what: {"after_s": action.after_s}}


def changed(before: Object, after: Object, part: str) -> dict[str, Any]:
    """Give the leaf paths that differ, within the part of the object that is written."""
    written = {"status": ("status",), "finalize": ("spec",)}.get(part)
    old, new = dict(leaves(before, "")), dict(leaves(after, ""))
    paths = [path for path in {**old, **new} if old.get(path, ...) != new.get(path, ...)]
    return {
        path: new.get(path)
        for path in paths
        if (path.startswith(written) if written else not path.startswith("status"))
    }


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Flatten; list items are named by their type, key, name, ip or address where they have one."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{item_name(inner, i)}]")
    else:
        yield path, value


def item_name(item: Any, index: int) -> object:
    if not isinstance(item, dict):
        return index
    if "targetRef" in item:
        return item["targetRef"]["name"]
    if "effect" in item:
        return f"{item['key']}/{item['effect']}"
    return next((item[key] for key in ("type", "key", "name", "ip") if key in item), index)
