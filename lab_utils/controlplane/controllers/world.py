"""What a reconciler may look at: the objects there are, indexed; what is measured, what was noted.

Hides the store and the monotonic clock. Reconcilers only read it; only the loop tells it news.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.objects import Key, condition_of, key_of, labels_of, name_of
from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

NODE_LEASES = "kube-node-lease"
_Objects = list[Object]  # inside the class, `list` is the method
Measured = Callable[[str, str], Object | None]
"""Namespace and name of a pod -> its PodMetrics, None while there are none."""


class World:
    """The state of the cluster as of the last change.

    Objects are those of the store: frozen by convention, copy before you edit.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        ca: str = "",
        objects: Iterable[Object] = (),
        measured: Measured = lambda _namespace, _pod: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.ca, self._measured = config, ca, measured
        self.refusals: dict[str, str] = {}
        self.notes: dict[str, dict[str, Object]] = {}
        self._monotonic = monotonic
        self._index: dict[object, dict[Key, Object]] = defaultdict(dict)
        self._heard: dict[str, float] = {}
        for obj in objects:
            self.observe(Change("ADDED", obj["kind"], obj, None, 0))

    def _at(self, entry: object) -> dict[Key, Object]:
        return self._index.get(entry, {})

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Find one object."""
        return self._at(kind).get((kind, namespace, name))

    def list(self, kind: str, namespace: str | None = None) -> _Objects:
        """Give all objects of a kind, or those of one namespace."""
        entry = kind if namespace is None else (kind, namespace)
        return list(self._at(entry).values())

    def select(self, kind: str, namespace: str, selector: Object | None) -> _Objects:
        """Give the objects of a namespace that a LabelSelector selects."""
        if selector is None:
            return []
        parsed = label_selector(selector)
        return [obj for obj in self.list(kind, namespace) if parsed.matches(labels_of(obj))]

    def owner(self, uid: str) -> Object | None:
        """Give the object with this uid; None when it has gone."""
        return next(iter(self._at(("uid", uid)).values()), None)

    def owned(self, uid: str, kind: str | None = None) -> _Objects:
        """Give everything whose ownerReferences name this uid."""
        return [obj for obj in self._at(("owner", uid)).values() if kind in (None, obj["kind"])]

    def pods_on(self, node: str) -> _Objects:
        """Give the pods bound to a node."""
        return list(self._at(("node", node)).values())

    def accepts(self, namespace: str) -> bool:
        """Tell whether new objects may be made in a namespace: it is there and not going."""
        space = self.get("Namespace", "", namespace)
        return space is not None and not space["metadata"].get("deletionTimestamp")

    def refusal(self, obj: Object) -> str | None:
        """Tell why the last thing that was made on behalf of an object was refused."""
        return self.refusals.get(obj["metadata"]["uid"])

    def noted(self, by: str, obj: Object) -> Object:
        """Give what a controller noted when it last looked at an object; {} the first time."""
        return self.notes.get(obj["metadata"]["uid"], {}).get(by, {})

    def measured(self, pod: Object) -> Object | None:
        """Give the PodMetrics of a pod; None while there are none."""
        return self._measured(pod["metadata"]["namespace"], name_of(pod))

    def silence_s(self, node: str) -> float:
        """Tell for how long a node has sent neither a Lease renewal nor a status.

        Measured here, on the monotonic clock, from when news arrived: neither a wrong clock on a
        node nor a step of our own makes nodes look dead.
        """
        return self._monotonic() - self._heard[node]

    def observe(self, change: Change) -> None:
        """Take in one change of the store."""
        if change.previous is not None:
            self._drop(change.previous)
        if change.type == "DELETED":
            for memory in (self.refusals, self.notes):
                memory.pop(change.object["metadata"]["uid"], None)
        else:
            for entry in _entries(change.object):
                self._index[entry][key_of(change.object)] = change.object
        self._listen(change)

    def _drop(self, obj: Object) -> None:
        for entry in _entries(obj):
            self._index[entry].pop(key_of(obj), None)
            if not self._index[entry]:
                del self._index[entry]

    def _listen(self, change: Change) -> None:
        name = name_of(change.object)
        if change.kind == "Node" and change.type == "DELETED":
            self._heard.pop(name, None)
        elif _is_sign_of_life(change):
            self._heard[name] = self._monotonic()


def _is_sign_of_life(change: Change) -> bool:
    if change.kind == "Lease":
        return change.key[0] == NODE_LEASES
    if change.kind != "Node":
        return False
    before = change.previous
    return before is None or _heartbeat(change.object) != _heartbeat(before)


def _entries(obj: Object) -> Iterator[object]:
    """Give the index entries under which an object is found."""
    meta, kind = obj["metadata"], obj["kind"]
    yield from (kind, (kind, meta.get("namespace", "")), ("uid", meta["uid"]))
    for reference in meta.get("ownerReferences") or ():
        yield "owner", reference["uid"]
    if kind == "Pod" and (node := obj["spec"].get("nodeName")):
        yield "node", node


def _heartbeat(node: Object) -> object:
    ready = condition_of(node, "Ready")
    return ready and ready.get("lastHeartbeatTime")
