"""What happened to objects, as watches saw it: recorded here, and read from recordings of Kind.

A history is compared as what each object went through: the values that each of its telling fields
took, in order, and the Events about it. How changes were grouped into updates is left open, names
and times are too.
"""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from lab_utils.waiting import wait_for
from tests.contract.cluster import Namespace, Object

REFERENCE = Path(__file__).parents[1] / "reference" / "watch"
Story = dict[str, list[str]]
"""By object and field ("Pod 1 phase"): the values it took, in order."""
Keep = Callable[[list[str]], list[str]]
"""Leaves out of a field's values what may be missed on either side."""
Differences = dict[str, tuple[list[str], list[str]]]
"""By object and field: the values here and those of the recording."""
_ON_ITS_WAY_S = 3.0  # for what the server has done and the watches have not brought yet
_LIST_KEYS = ("type", "name", "key", "ip")
_CONDITION = re.compile(r"status\.conditions\[(\w+)\]\.(?:status|reason)")
_STATE = re.compile(
    r"status\.(?:init)?[cC]ontainerStatuses\[([^\]]+)\]\.(state|lastState)\.(\w+)(.*)"
)
_COUNT = re.compile(r"status\.(?:init)?[cC]ontainerStatuses\[([^\]]+)\]\.(restartCount|ready)")


@dataclass(frozen=True)
class Row:
    """One watch event: t_s since the start; fields are the leaves of the object after it."""

    t_s: float
    kind: str
    type: str
    name: str
    fields: dict[str, Any]
    obj: Object = field(default_factory=dict)


class Recorder:
    """Watches kinds of a namespace (of the cluster, for Nodes) from now until stop()."""

    def __init__(self, namespace: Namespace, *kinds: str) -> None:
        self.rows: list[Row] = []
        self.before: list[Row] = []
        """What was there when it began."""
        self._namespace, self._started_s = namespace, time.monotonic()
        self._kinds = kinds
        self._streams = [self._open(kind) for kind in kinds]
        self._threads = [
            threading.Thread(target=self._read, args=(kind, stream))
            for kind, stream in zip(kinds, self._streams, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def now_s(self) -> float:
        """Give the time on the clock of the rows."""
        return time.monotonic() - self._started_s

    def until(self, key: str, value: str, timeout_s: float = 30.0) -> None:
        """Wait until a field has taken a value, for however short a time.

        Args:
            key: Object and field, as a story names them.
            value: What it must have been.
            timeout_s: How long to wait.
        """

        def look() -> bool | None:
            return value in story(list(self.rows), self.before).get(key, ()) or None

        def late() -> AssertionError:
            told = story(list(self.rows), self.before)
            return AssertionError(f"{key} was not {value} within {timeout_s} s, but {told}")

        wait_for(look, timeout_s=timeout_s, late=late)

    def stop(self) -> "Recorder":
        """End the watches."""
        for stream in self._streams:
            stream.shutdown()
        for thread in self._threads:
            thread.join(10)
        return self

    def differences(self, recording: str, keep: Keep = list, about: str = "") -> Differences:
        """Stop, and compare what these kinds went through with a recording of Kind.

        Args:
            recording: Its name.
            keep: Leaves out of a field's values what may be missed on either side.
            about: Compare only objects and fields with this in their name.
        """
        rows = [row for row in read_recording(recording) if row.kind in self._kinds]
        wanted = {key: values for key, values in story(rows).items() if about in key}

        def found() -> Differences:
            told = story(list(self.rows), self.before)
            return differences({k: v for k, v in told.items() if about in k}, wanted, keep)

        deadline_s = self.now_s() + _ON_ITS_WAY_S
        while found() and self.now_s() < deadline_s:
            time.sleep(0.05)
        self.stop()
        return found()

    def _open(self, kind: str) -> Any:
        cluster = self._namespace.cluster
        path = cluster.path(kind, None if kind == "Node" else self._namespace.name)
        listed = cluster.request("GET", path).body
        for obj in listed["items"]:
            name = obj["metadata"]["name"]
            self.before.append(Row(0, kind, "ADDED", name, leaves(obj), obj))
        revision = listed["metadata"]["resourceVersion"]
        return cluster.open("GET", path, stream=True, watch=1, resourceVersion=revision)

    def _read(self, kind: str, stream: Any) -> None:
        with suppress(HTTPError):  # how stop() ends it
            for line in stream:
                event = json.loads(line)
                obj, name = event["object"], event["object"]["metadata"]["name"]
                row = Row(self.now_s(), kind, event["type"], name, leaves(obj), obj)
                self.rows.append(row)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Flatten an object into its leaves, list items by their type, name, key or ip."""
    if isinstance(value, dict):
        items = [(f"{path}.{key}" if path else key, one) for key, one in value.items()]
    elif isinstance(value, list):
        items = [(f"{path}[{_key(one, i)}]", one) for i, one in enumerate(value)]
    else:
        return {path: value}
    return {k: v for name, one in items for k, v in leaves(one, name).items()}


def _key(item: Any, index: int) -> str:
    if isinstance(item, dict):
        return str(next((item[key] for key in _LIST_KEYS if key in item), index))
    return str(index)


def read_recording(name: str, until_s: float = 1e9) -> list[Row]:
    """Read a recording of Kind up to a time."""
    known: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    rows = []
    for line in (REFERENCE / f"{name}.jsonl").read_text().splitlines()[1:]:
        row = json.loads(line)
        if row["kind"] == "(action)" or row["t"] > until_s:
            continue
        if row["kind"] == "Event":
            rows.append(Row(row["t"], "Event", row["type"], row["on"], {}, row))
            continue
        fields = known[row["kind"], row["name"]]
        changed = row.get("changed", {})
        for gone in changed.get("(removed)", ()):
            for path in [p for p in fields if p == gone or p.startswith((gone + ".", gone + "["))]:
                del fields[path]
        fields |= {path: value for path, value in changed.items() if path != "(removed)"}
        rows.append(Row(row["t"], row["kind"], row["type"], row["name"], dict(fields)))
    return rows


def story(rows: Iterable[Row], before: Iterable[Row] = ()) -> Story:
    """Tell what each object went through; objects of a kind are numbered as they appear.

    Args:
        rows: What was seen, in order.
        before: How objects were before that, which is not told.
    """
    told: Story = defaultdict(list)
    numbers: dict[tuple[str, str], int] = {}
    last = {(r.kind, r.name, key): v for r in before for key, v in telling(r) if r.kind != "Event"}
    rows = list(rows)
    for row in (row for row in rows if row.kind != "Event"):
        of_kind = sum(kind == row.kind for kind, _ in numbers)
        number = numbers.setdefault((row.kind, row.name), of_kind + 1)
        for key, value in telling(row):
            if last.get((row.kind, row.name, key)) != value:
                last[row.kind, row.name, key] = value
                told[f"{row.kind} {number} {key}"].append(value)
    for row in (row for row in rows if row.kind == "Event"):
        kind, name, reason = _about(row)
        number = numbers.get((kind, name), 0)
        if number and reason not in (values := told[f"{kind} {number} events"]):
            values.append(reason)
    return dict(told)


def _about(row: Row) -> tuple[str, str, str]:
    if "on" in row.obj:
        kind, _, rest = row.obj["on"].partition("/")
        return kind, rest.split()[0], row.obj["reason"]
    about = row.obj["involvedObject"]
    return about["kind"], about["name"], row.obj["reason"]


def telling(row: Row) -> Iterator[tuple[str, str]]:
    """Give the fields of an object that tell how it is."""
    if row.type == "DELETED":
        yield "existence", "gone"
        return
    fields = row.fields
    for path in ("status.phase", "status.reason", "status.succeeded", "status.failed"):
        if path in fields:
            yield path.partition(".")[2], str(fields[path])
    if "metadata.deletionTimestamp" in fields:
        yield "existence", f"grace {fields.get('metadata.deletionGracePeriodSeconds')}"
    for path, value in fields.items():
        if found := _CONDITION.fullmatch(path):
            reason = fields.get(f"status.conditions[{found[1]}].reason")
            yield found[1], str(reason or fields.get(f"status.conditions[{found[1]}].status"))
        elif found := _COUNT.fullmatch(path):
            yield f"{found[1]} {found[2]}", str(value)
    yield from _container_states(fields)


def _container_states(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    states: dict[str, str] = {}
    for path in fields:
        if found := _STATE.fullmatch(path):
            name, which, state, _ = found.groups()
            base = path[: path.index(f".{which}.") + len(which) + 2] + state
            reason = fields.get(f"{base}.reason")
            code = fields.get(f"{base}.exitCode")
            words = [state] if reason is None else [state, str(reason)]
            states[f"{name} {which}"] = " ".join(words + ([] if code is None else [str(code)]))
    yield from states.items()


def differences(told: Story, wanted: Story, keep: Keep = list) -> Differences:
    """Compare what was told with a recording, field by field; what was told may go on."""
    found = {}
    for key in sorted(told.keys() | wanted.keys()):
        ours, theirs = _aligned(keep(told.get(key, [])), keep(wanted.get(key, [])))
        if ours[: len(theirs)] != theirs or (ours and not theirs):
            found[key] = (ours, theirs)
    return found


def _aligned(ours: list[str], theirs: list[str]) -> tuple[list[str], list[str]]:
    """Leave out a first value that only one of them was quick enough to see."""
    if ours[1:2] == theirs[:1] and ours[:1] != theirs[:1]:
        return ours[1:], theirs
    if theirs[1:2] == ours[:1] and ours[:1] != theirs[:1]:
        return ours, theirs[1:]
    return ours, theirs
