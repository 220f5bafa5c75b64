"""The one place where objects are: what etcd and the watch cache are to a real API server.

Hides how a consistent past is kept: one global revision, a bounded log of changes, and lists as
they were. Knows nothing of what an object means, and never copies: whoever puts an object gives it
away, whoever gets one must not edit it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab_utils.controlplane.status import ApiError, Object

HISTORY = 1024
"""Changes kept for watches and for lists of the past; who lags more than this lists again."""

_Key = tuple[str, str]
Objects = list[Object]


@dataclass(frozen=True)
class Change:
    """One commit: type is ADDED, MODIFIED or DELETED; previous is None for ADDED."""

    type: str
    kind: str
    object: Object
    previous: Object | None
    revision: int

    @property
    def key(self) -> _Key:
        """Give (namespace, name); the namespace is "" for cluster-scoped kinds."""
        return _key(self.object)


Subscriber = Callable[[Change], None]


def _key(obj: Object) -> _Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def expired(revision: int, oldest: int) -> ApiError:
    """Say that a revision is no longer known (410): the client lists anew."""
    return ApiError(410, "Expired", f"too old resource version: {revision} ({oldest})")


class Store:
    """Objects by kind, namespace and name, with their history."""

    def __init__(self, history: int = HISTORY) -> None:
        self.revision = 1
        self._objects: dict[str, dict[str, dict[str, Object]]] = {}
        self._log: deque[Change] = deque(maxlen=history)
        self._forgotten = self.revision
        self._subscribers: list[Subscriber] = []

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Find one object."""
        return self._objects.get(kind, {}).get(namespace, {}).get(name)

    def list(self, kind: str, namespace: str | None = None) -> Objects:
        """List a kind, in all namespaces or in one, by namespace and name."""
        of_kind = self._objects.get(kind, {})
        wanted = of_kind if namespace is None else {namespace: of_kind.get(namespace, {})}
        return [obj for _, names in sorted(wanted.items()) for _, obj in sorted(names.items())]

    def list_at(self, kind: str, namespace: str | None, revision: int) -> Objects:
        """List a kind as it was at a revision, by taking the later changes back.

        Raises:
            ApiError: 410, the revision is older than the log.
        """
        objects = {_key(obj): obj for obj in self.list(kind, namespace)}
        for change in reversed(self.changes_since(revision)):
            if change.kind != kind or namespace not in (None, change.key[0]):
                continue
            objects.pop(change.key, None)
            if change.previous is not None:
                objects[change.key] = change.previous
        return [obj for _, obj in sorted(objects.items(), key=lambda item: item[0])]

    def changes_since(self, revision: int) -> Sequence[Change]:
        """Give every change after a revision, oldest first (410, some of them are forgotten)."""
        if revision < self._forgotten:
            raise expired(revision, self._forgotten)
        missed = min(self.revision - revision, len(self._log))
        return [self._log[i] for i in range(len(self._log) - missed, len(self._log))]

    def put(self, kind: str, obj: Object) -> Object:
        """Commit a new or changed object and give it its resourceVersion."""
        namespace, name = _key(obj)
        names = self._objects.setdefault(kind, {}).setdefault(namespace, {})
        previous = names.get(name)
        obj["metadata"]["resourceVersion"] = str(self.revision + 1)
        names[name] = obj
        self._commit("MODIFIED" if previous else "ADDED", kind, obj, previous)
        return obj

    def remove(self, kind: str, namespace: str, name: str) -> Object:
        """Commit the end of an object; what is returned carries the revision of its end."""
        previous = self._objects[kind][namespace].pop(name)
        metadata = previous["metadata"] | {"resourceVersion": str(self.revision + 1)}
        last = previous | {"metadata": metadata}
        self._commit("DELETED", kind, last, previous)
        return last

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call back at each commit, in order, before put or remove returns.

        Args:
            callback: Must be quick and must not write to the store.

        Returns:
            What ends the subscription.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _commit(self, change: str, kind: str, obj: Object, previous: Object | None) -> None:
        self.revision += 1
        if len(self._log) == self._log.maxlen:
            self._forgotten = self._log[0].revision
        committed = Change(change, kind, obj, previous, self.revision)
        self._log.append(committed)
        for callback in tuple(self._subscribers):
            callback(committed)
