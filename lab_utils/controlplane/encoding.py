"""Answers: what the client accepts, and objects as the bytes that go over the wire.

An object never changes once it is stored, so its JSON is made once and serves every list and every
watch. Hides that cache, content negotiation, and the Table and PartialObjectMetadata views.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from lab_utils.controlplane import views
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.parsing import JSON, YAML
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.store import Change, Store
from lab_utils.controlplane.tables import table
from lab_utils.controlplane.timestamps import Clock

_META = "meta.k8s.io"
_MEDIA = {"*/*": JSON, "application/*": JSON, JSON: JSON, YAML: YAML}
_CACHED = 4096
_VIEWS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True)
class Format:
    """What to answer with: a media type and a view ("" is the object itself).

    include is what each row of a Table carries of its object: "Metadata", "Object" or "None".
    """

    media: str = JSON
    view: str = ""
    include: str = "Metadata"


def not_acceptable(plain: bool = False) -> ApiError:
    """Say which media types there are (406)."""
    media = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    if plain:
        message = f"406: Not Acceptable\n\nAvailable representations: {media}"
        return ApiError(406, "NotAcceptable", message, details={})
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {media}")


def negotiate(accept: str, *, include: str = "Metadata", views: bool = True) -> Format:
    """Choose the first format of an Accept header that this server has (406, there is none)."""
    offers = [_offer(part) for part in (accept or "*/*").split(",")]
    for media, parameters in offers:
        view = parameters.get("as", "")
        meta = (parameters.get("g"), parameters.get("v")) == (_META, "v1")
        if media in _MEDIA and (not view or (views and meta and view in _VIEWS)):
            return Format(_MEDIA[media], view, include)
    raise not_acceptable(plain=not any("as" in parameters for _, parameters in offers))


def _offer(text: str) -> tuple[str, dict[str, str]]:
    media, *parameters = (part.strip() for part in text.split(";"))
    return media, dict(part.split("=", 1) for part in parameters if "=" in part)


def to_json(value: Any) -> bytes:
    """Write compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Encoder:
    """Writes objects; remembers the JSON of the ones written last, as long as they are there."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock, self._store = clock, store
        self._bodies: dict[str, tuple[Object, bytes]] = {}
        store.subscribe(self._forget)

    def one(self, row: Kind, obj: Object, form: Format, *, columns: bool = True) -> bytes:
        """Write one object; a Table with or without saying what its columns are."""
        if form.view == "Table":
            version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            shown = self._table(row, version, [obj], form)
            return to_json(shown if columns else shown | {"columnDefinitions": None})
        if form.view:
            return to_json(_partial(obj))
        if row.is_view:
            obj = views.shown(row, obj)
        if form.media == YAML:
            return as_yaml(obj)
        if row.is_view or not row.stored:
            return to_json(obj)
        head = b'{"kind":%b,"apiVersion":%b,' % (to_json(obj["kind"]), to_json(obj["apiVersion"]))
        return head + self._body(obj)

    def list(self, row: Kind, metadata: Object, items: Sequence[Object], form: Format) -> bytes:
        """Write a list; its items leave kind and apiVersion out, as Kubernetes' do."""
        if form.view == "Table":
            return to_json(self._table(row, metadata, items, form))
        head = {"kind": row.list_name, "apiVersion": row.api_version, "metadata": metadata}
        if form.view:
            head |= {"kind": "PartialObjectMetadataList", "apiVersion": f"{_META}/v1"}
            return to_json(head | {"items": [_partial(item) for item in items]})
        if form.media == YAML:
            return as_yaml(head | {"items": [views.shown(row, item) for item in items]})
        if row.is_view or not row.stored:
            return to_json(head | {"items": [views.shown(row, item) for item in items]})
        joined = b",".join(b"{" + self._body(item) for item in items)
        return to_json(head)[:-1] + b',"items":[' + joined + b"]}"

    def _table(self, row: Kind, metadata: Object, items: Sequence[Object], form: Format) -> Object:
        shown = _SHOWN.get(form.include, _partial)
        return table(row, metadata, items, shown, self._clock().timestamp())

    def _body(self, obj: Object) -> bytes:
        """Give an object's JSON without the opening brace, kind and apiVersion: lists omit them.

        A dry run's object has the revision of the one it would replace, and is another one.
        """
        metadata = obj["metadata"]
        uid = metadata.get("uid", "")
        known, body = self._bodies.get(uid, (None, b""))
        if known is not obj:
            rest = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion")}
            body = to_json(rest)[1:]
            if uid and metadata.get("resourceVersion") and self._is_there(obj):
                self._remember(uid, obj, body)
        return body

    def _is_there(self, obj: Object) -> bool:
        metadata = obj["metadata"]
        found = self._store.get(obj["kind"], metadata.get("namespace", ""), metadata["name"])
        return found is not None and found["metadata"]["uid"] == metadata["uid"]

    def _forget(self, change: Change) -> None:
        if change.type == "DELETED":
            self._bodies.pop(change.object["metadata"]["uid"], None)

    def _remember(self, uid: str, obj: Object, body: bytes) -> None:
        """Keep one version of an object: the one before is seldom asked for again."""
        if len(self._bodies) >= _CACHED:
            del self._bodies[next(iter(self._bodies))]
        self._bodies[uid] = obj, body


def _partial(obj: Object) -> Object:
    head = {"kind": "PartialObjectMetadata", "apiVersion": f"{_META}/v1"}
    return head | {"metadata": obj["metadata"]}


_SHOWN: dict[str, Callable[[Object], Object | None]] = {
    "None": lambda _obj: None, "Object": lambda obj: obj, "Metadata": _partial,
}  # fmt: skip


def as_yaml(obj: Object) -> bytes:
    """Write YAML with sorted keys, as Kubernetes does."""
    text: str = yaml.safe_dump(obj, sort_keys=True, allow_unicode=True)
    return text.encode()
