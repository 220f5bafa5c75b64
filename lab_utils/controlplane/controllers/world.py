"""What a reconciler may look at: the objects there are, indexed, and how long a node was silent.

Hides the store and the monotonic clock. Reconcilers only read it; only the loop tells it news.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from lab_utils.controlplane.config import ClusterConfig
from lab_utils.controlplane.controllers.objects import Key, condition_of, key_of, labels_of
from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change

NODE_LEASES = "kube-node-lease"
_Objects = list[Object]  # inside the class, `list` is the method
_Owned = list[tuple[str, Object]]


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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.ca = config, ca
        self.refusals: dict[str, str] = {}
        self._monotonic = monotonic
        self._objects: dict[str, dict[str, dict[str, Object]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._by_uid: dict[str, Key] = {}
        self._by_owner: dict[str, dict[Key, None]] = defaultdict(dict)
        self._by_node: dict[str, dict[Key, None]] = defaultdict(dict)
        self._heard: dict[str, float] = {}
        for obj in objects:
            self._put(obj["kind"], obj)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Find one object."""
        return self._objects[kind][namespace].get(name)

    def list(self, kind: str, namespace: str | None = None) -> _Objects:
        """Give all objects of a kind, or those of one namespace."""
        spaces = self._objects[kind]
        if namespace is not None:
            return list(spaces[namespace].values())
        return [obj for space in spaces.values() for obj in space.values()]

    def select(self, kind: str, namespace: str, selector: Object | None) -> _Objects:
        """Give the objects of a namespace that a LabelSelector selects."""
        if selector is None:
            return []
        parsed = label_selector(selector)
        return [obj for obj in self.list(kind, namespace) if parsed.matches(labels_of(obj))]

    def has(self, uid: str) -> bool:
        """Tell whether the object with this uid is still there."""
        return uid in self._by_uid

    def owner(self, uid: str) -> Object | None:
        """Give the object with this uid."""
        key = self._by_uid.get(uid)
        return self.get(*key) if key else None

    def owned(self, uid: str, kind: str | None = None) -> _Owned:
        """Give (kind, object) of everything whose ownerReferences name this uid."""
        keys = (key for key in self._by_owner.get(uid, ()) if kind in (None, key[0]))
        return [(key[0], self._objects[key[0]][key[1]][key[2]]) for key in keys]

    def pods_on(self, node: str) -> _Objects:
        """Give the pods bound to a node."""
        keys = self._by_node.get(node, ())
        return [self._objects["Pod"][namespace][name] for _, namespace, name in keys]

    def accepts(self, namespace: str) -> bool:
        """Tell whether new objects may be made in a namespace: it is there and not going."""
        space = self.get("Namespace", "", namespace)
        return space is not None and not space["metadata"].get("deletionTimestamp")

    def refusal(self, obj: Object) -> str | None:
        """Tell why the last thing that was made on behalf of an object was refused."""
        return self.refusals.get(obj["metadata"]["uid"])

    def silence_s(self, node: str) -> float:
        """Tell for how long a node has sent neither a Lease renewal nor a status.

        Measured here, on the monotonic clock, from when news arrived: neither a wrong clock on a
        node nor a step of our own makes nodes look dead.
        """
        return self._monotonic() - self._heard[node]

    def observe(self, change: Change) -> None:
        """Take in one change of the store."""
        if change.previous is not None:
            self._drop(change.kind, change.previous)
        if change.type == "DELETED":
            self._drop(change.kind, change.object)
        else:
            self._put(change.kind, change.object)
        self._listen(change)

    def _put(self, kind: str, obj: Object) -> None:
        key, meta = key_of(kind, obj), obj["metadata"]
        self._objects[kind][key[1]][key[2]] = obj
        self._by_uid[meta["uid"]] = key
        for reference in meta.get("ownerReferences") or ():
            self._by_owner[reference["uid"]][key] = None
        if kind == "Pod" and (node := obj["spec"].get("nodeName")):
            self._by_node[node][key] = None
        if kind == "Node":
            self._heard.setdefault(key[2], self._monotonic())

    def _drop(self, kind: str, obj: Object) -> None:
        key, meta = key_of(kind, obj), obj["metadata"]
        self._objects[kind][key[1]].pop(key[2], None)
        self._by_uid.pop(meta["uid"], None)
        for reference in meta.get("ownerReferences") or ():
            _discard(self._by_owner, reference["uid"], key)
        if kind == "Pod" and (node := obj["spec"].get("nodeName")):
            _discard(self._by_node, node, key)

    def _listen(self, change: Change) -> None:
        namespace, name = key_of(change.kind, change.object)[1:]
        if change.type == "DELETED":
            if change.kind == "Node":
                self._heard.pop(name, None)
        elif (change.kind == "Lease" and namespace == NODE_LEASES) or (
            change.kind == "Node" and _heartbeat(change.object) != _heartbeat(change.previous)
        ):
            self._heard[name] = self._monotonic()


def _heartbeat(node: Object | None) -> object:
    ready = condition_of(node, "Ready") if node else None
    return ready and ready.get("lastHeartbeatTime")


def _discard(index: dict[str, dict[Key, None]], entry: str, key: Key) -> None:
    keys = index.get(entry)
    if keys is not None:
        keys.pop(key, None)
        if not keys:
            del index[entry]
