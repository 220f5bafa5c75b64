"""Follow kinds of objects through watches: every change, when it was seen, and where nothing was.

A watch goes on from the last version seen after the API server was away; only if that is too old
are the objects listed anew. Never gives up, and never raises: what goes wrong is a gap.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from lab_utils.errors import ClusterError

Object = dict[str, Any]
_WATCH_S = 5
"""How long one watch lasts: so long a dead server may go unnoticed."""
_RETRY_S = 0.25


class Source(Protocol):
    """What is needed of a cluster: one namespace of it and its nodes, objects as on the wire."""

    def list_at(self, kind: str) -> tuple[Sequence[Object], str]:
        """List the objects of a kind, with the version from which watch() goes on."""

    def watch(self, kind: str, version: str, timeout_s: int) -> Iterator[Object]:
        """Watch a kind from a version on: changes as on the wire."""


@dataclass(frozen=True)
class Change:
    """One object, as it was seen at a moment (`time.perf_counter_ns`)."""

    perf_ns: int
    kind: str
    object: Object
    deleted: bool = False
    listed: bool = False
    """Whether it was there already when the watch began."""


@dataclass(frozen=True)
class Gap:
    """A time in which nothing was heard of a source: from the last word until the next."""

    start_ns: int
    end_ns: int | None
    source: str
    reason: str


class Watch(threading.Thread):
    """Follows one kind until it is told to stop.

    Args:
        source: The cluster.
        kind: As kubectl knows it: "pods".
        tell: Called in this thread with each change.
    """

    def __init__(self, source: Source, kind: str, tell: Callable[[Change], object]) -> None:
        super().__init__(name=f"watch-{kind}", daemon=True)
        self._source, self.kind, self._tell = source, kind, tell
        self._stopped = threading.Event()
        self._known: dict[str, Object] = {}
        self._version = ""
        self._heard_ns = time.perf_counter_ns()
        self._trouble = ""
        self._gaps: list[Gap] = []
        self.listed = threading.Event()
        """Set when the objects have been listed once."""

    @property
    def objects(self) -> list[Object]:
        """The objects there are, as far as is known."""
        return list(self._known.values())

    @property
    def gaps(self) -> list[Gap]:
        """When the kind could not be followed; the last one may not be over."""
        trouble = self._trouble
        now = [Gap(self._heard_ns, None, f"watch {self.kind}", trouble)] if trouble else []
        return [*self._gaps, *now]

    def stop(self) -> None:
        """Have the thread end, which it does with its present watch at the latest."""
        self._stopped.set()

    def run(self) -> None:
        """List once, then watch again and again."""
        while not self._stopped.is_set():
            try:
                self._follow()
            except Exception as exc:  # a witness goes on whatever the cluster does
                self._trouble = str(exc)
                if isinstance(exc, ClusterError) and exc.code == HTTPStatus.GONE:
                    self._version = ""
                self._stopped.wait(_RETRY_S)

    def _follow(self) -> None:
        if not self._version:
            objects, self._version = self._source.list_at(self.kind)
            self._hear()
            self._compare(objects)
            self.listed.set()
        changes = self._source.watch(self.kind, self._version, _WATCH_S)
        for change in changes:
            if self._stopped.is_set():
                return
            self._hear()
            self._version = change["object"]["metadata"]["resourceVersion"]
            if change["type"] != "BOOKMARK":
                self._take(change["object"], deleted=change["type"] == "DELETED")
        self._hear()

    def _hear(self) -> None:
        """Note that the server has been heard, and with it the end of any gap."""
        now_ns = time.perf_counter_ns()
        if self._trouble:
            self._gaps.append(Gap(self._heard_ns, now_ns, f"watch {self.kind}", self._trouble))
            self._trouble = ""
        self._heard_ns = now_ns

    def _compare(self, objects: Iterable[Object]) -> None:
        """Find out from a list what has changed since the last one."""
        first = not self.listed.is_set()
        found = {obj["metadata"]["uid"]: obj for obj in objects}
        for uid in self._known.keys() - found.keys():
            self._take(self._known[uid], deleted=True)
        for uid, obj in found.items():
            before = self._known.get(uid)
            if before is None or _version(before) != _version(obj):
                self._take(obj, listed=first)

    def _take(self, obj: Object, *, deleted: bool = False, listed: bool = False) -> None:
        uid = obj["metadata"]["uid"]
        if deleted:
            self._known.pop(uid, None)
        else:
            self._known[uid] = obj
        self._tell(Change(self._heard_ns, self.kind, obj, deleted, listed))


def _version(obj: Object) -> str:
    return str(obj["metadata"]["resourceVersion"])
