"""The verbs of every resource: from an HTTP request to the registry and back.

No kind has a handler of its own: what differs between kinds is a row of `kinds`, what differs
between subresources is one method each.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from aiohttp import web

from lab_utils.controlplane import (
    decoding,
    deletion,
    discovery,
    documents,
    options,
    schema,
    views,
)
from lab_utils.controlplane.answers import (
    absent,
    json_answer,
    no_such_method,
    no_such_resource,
    success,
)
from lab_utils.controlplane.authorization import User, authorize, authorize_path
from lab_utils.controlplane.chunks import list_page
from lab_utils.controlplane.deletion import DeleteOptions
from lab_utils.controlplane.encoding import Encoder, Format, negotiate
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.kinds import BY_ROUTE, Kind
from lab_utils.controlplane.options import WriteOptions
from lab_utils.controlplane.parsing import JSON
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.requestinfo import RequestInfo, parse_path
from lab_utils.controlplane.reviews import review
from lab_utils.controlplane.status import ApiError, Object, bad_request, not_found
from lab_utils.controlplane.subresources import scale_of, scaled
from lab_utils.controlplane.warn import warn
from lab_utils.controlplane.watch import Lines, Watch, serve_watch

_COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_SINGLE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_INNER = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}
_NEEDS_NAMESPACE = ("create", "deletecollection")
_ORPHANS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)


@dataclass(frozen=True)
class _Call:
    """One request on one resource, taken apart."""

    http: web.Request
    info: RequestInfo
    row: Kind
    form: Format

    @property
    def namespace(self) -> str | None:
        """Give the namespace to list; None for all of them."""
        return self.info.namespace or (None if self.row.namespaced else "")

    @property
    def key(self) -> tuple[str, str, str]:
        """Give (kind, namespace, name) of the object the path names."""
        return self.row.name, self.info.namespace, self.info.name

    @property
    def content_type(self) -> str:
        """Give the media type of the body; "" when the client does not say."""
        return self.http.headers.get("Content-Type", "").split(";")[0].strip().lower()

    async def delete_options(self) -> DeleteOptions:
        """Read the parameters of a deletion, from the body and the query."""
        body = await self.http.read()
        given = decoding.decode_delete_options(body, self.content_type) if body else {}
        typed = schema.drop_unknown("DeleteOptions", given)
        wanted = options.delete_options(self.http.query, typed)
        if not self.row.orphans or wanted.propagation is not None:
            return wanted
        warn(_ORPHANS)
        return replace(wanted, propagation="Orphan")

    async def body(self, kind: str, api_version: str) -> Object:
        """Read the body of a subresource, which is of another kind than the path's."""
        read = decoding.decode(kind, api_version, await self.http.read(), self.content_type)
        return schema.drop_unknown(kind, read)

    def write_options(self, name: str) -> WriteOptions:
        """Read the parameters of a write."""
        agent = self.http.headers.get("User-Agent", "unknown")
        return options.write_options(self.http.query, name, agent, self.content_type)


USER = web.RequestKey("user", User)
"""Where a request says who sends it; the gate has written it there."""
Verb = Callable[[_Call], Awaitable[web.StreamResponse]]
Metrics = Callable[[str], Awaitable[list[Object]]]
"""Measures: all objects of the kind NodeMetrics or PodMetrics, without kind and apiVersion."""


async def nothing_measured(_kind: str) -> list[Object]:
    """Give no metrics, as a metrics server does that has just started."""
    return []


def _headed(row: Kind, obj: Object) -> Object:
    return {"kind": row.name, "apiVersion": row.api_version} | obj


def _verb_name(info: RequestInfo, request: web.Request) -> str:
    """Name what a request does, in the words of rules of access."""
    verb = (_INNER if info.subresource else _SINGLE if info.name else _COLLECTION).get(
        request.method, request.method.lower()
    )
    is_watch = verb == "list" and (info.is_watch or options.is_true(request.query, "watch"))
    return "watch" if is_watch else verb


class Resources:
    """Answers every path below a group version."""

    def __init__(self, registry: Registry, forward: Forwarder, metrics: Metrics) -> None:
        self._registry, self._forward, self._metrics = registry, forward, metrics
        self._encoder = Encoder(registry.clock)
        self._verbs: dict[str, Verb] = {
            "list": self._list,
            "create": self._create,
            "deletecollection": self._delete_collection,
            "get": self._get,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
        }
        self._subresources: dict[str, Verb] = {
            "log": self._log,
            "binding": self._bind,
            "eviction": self._evict,
            "proxy": self._proxy,
            "exec": self._stream,
            "attach": self._stream,
            "portforward": self._stream,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any path: find the kind, the verb and the method that does it.

        Raises:
            ApiError: Whatever the request deserves.
        """
        info = parse_path(request.rel_url.raw_path)
        if info is None:
            if user := request.get(USER):  # health is for everyone
                authorize_path(user, request.method, request.path)
            return documents.answer(request)
        authorize(request[USER], _verb_name(info, request), info)
        row = BY_ROUTE.get((info.group, info.version, info.plural))
        if row is None:
            return absent(request.path)
        is_misplaced = bool(info.namespace) > row.namespaced
        if is_misplaced or (info.name and row.namespaced and not info.namespace):
            raise no_such_resource()
        if row.deprecated:
            warn(row.deprecated)
        verb = self._verb(info, row, request.method)
        form = Format()
        if info.subresource not in discovery.PASSED_ON:  # they have formats of their own
            include = request.query.get("includeObject", "Metadata")
            form = negotiate(request.headers.get("Accept", ""), include=include)
        return await verb(_Call(request, info, row, form))

    def _verb(self, info: RequestInfo, row: Kind, method: str) -> Verb:
        if info.subresource:
            return self._subresource(info, row, method)
        verb = (_SINGLE if info.name else _COLLECTION).get(method, "")
        needs_namespace = row.namespaced and verb in _NEEDS_NAMESPACE
        if verb not in row.verbs or (needs_namespace and not info.namespace):
            raise no_such_method()
        return self._verbs[verb]

    def _subresource(self, info: RequestInfo, row: Kind, method: str) -> Verb:
        name, verb = info.subresource, _INNER.get(method, "")
        if name not in discovery.subresources(row):
            raise no_such_resource()
        if name == "proxy":
            return self._proxy
        if info.rest:
            raise no_such_resource()
        if verb not in discovery.SUBRESOURCES[name][0]:
            raise no_such_method()
        return self._subresources.get(name) or self._verbs[verb]

    def _answer(self, call: _Call, obj: Object, status: int = 200) -> web.Response:
        if call.info.subresource == "scale":
            return json_answer(scale_of(obj), status=status)
        body = self._encoder.one(call.row, obj, call.form)
        return json_answer(body, media=call.form.media, status=status)

    async def _get(self, call: _Call) -> web.StreamResponse:
        if not call.row.stored:
            return self._answer(call, await self._measured(call))
        return self._answer(call, self._registry.get(*call.key))

    async def _measured(self, call: _Call) -> Object:
        """Find one of the objects that are not stored but measured."""
        kind, namespace, name = call.key
        for one in await self._metrics(kind):
            metadata = one["metadata"]
            if (metadata.get("namespace", ""), metadata["name"]) == (namespace, name):
                return _headed(call.row, one)
        wanted = "/".join(filter(None, (namespace, name)))
        raise not_found(call.row.group, call.row.singular, wanted)

    async def _list(self, call: _Call) -> web.StreamResponse:
        wanted = options.list_options(call.http.query, call.row, is_watch=call.info.is_watch)
        if not call.row.stored:
            found = [
                _headed(call.row, one)
                for one in await self._metrics(call.row.name)
                if call.namespace in (None, one["metadata"].get("namespace", ""))
            ]
            shown = [one for one in found if wanted.selects(one)]
            return json_answer(self._encoder.list(call.row, {}, shown, call.form))
        if wanted.is_watch:
            watch = Watch(self._registry.store, call.row, call.namespace, wanted)
            form = replace(call.form, media=JSON)  # a watch is lines of JSON, whatever is in them
            return await serve_watch(call.http, watch, Lines(call.row, self._encoder, form))
        page = list_page(self._registry.store, call.row, call.namespace, wanted)
        body = self._encoder.list(call.row, page.metadata, page.items, call.form)
        return json_answer(body, media=call.form.media)

    async def _create(self, call: _Call) -> web.StreamResponse:
        write = call.write_options("CreateOptions")
        obj = await self._decoded(call, write)
        if not call.row.stored:
            now, user = self._registry.clock(), call.http[USER]
            answer = review(call.row.name, obj, user, now)
            return self._answer(call, _headed(call.row, answer), 201)
        views.check_new(call.row, obj)
        created = self._registry.create(
            call.row.name,
            views.stored(call.row, obj),
            manager=write.manager,
            dry_run=write.dry_run,
        )
        return self._answer(call, created, 201)

    async def _decoded(self, call: _Call, write: WriteOptions) -> Object:
        """Read the body as the kind of the path, in the namespace of the path."""
        body = await call.http.read()
        obj = decoding.decode_strictly(call.row, body, call.content_type, write.validation)
        metadata = obj.setdefault("metadata", {})
        namespace = call.info.namespace
        if metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        if not namespace:
            del metadata["namespace"]
        return obj

    async def _update(self, call: _Call) -> web.StreamResponse:
        write, subresource = call.write_options("UpdateOptions"), call.info.subresource
        existed = self._registry.find(*call.key) is not None
        if subresource == "scale":
            wanted = await call.body("Scale", "autoscaling/v1")
            obj = scaled(call.row, self._registry.get(*call.key), wanted)
        else:
            obj = await self._decoded(call, write)
        decoding.require_name(obj, call.info.name)
        updated = self._registry.update(
            call.row.name,
            views.stored(call.row, obj),
            subresource=subresource,
            manager=write.manager,
            dry_run=write.dry_run,
        )
        return self._answer(call, updated, 200 if existed else 201)

    async def _patch(self, call: _Call) -> web.StreamResponse:
        decoding.require_patch_type(call.content_type)
        write = call.write_options("PatchOptions")
        patch = decoding.decode_patch(call.row, await call.http.read(), call.content_type)
        existed = self._registry.find(*call.key) is not None
        result = self._registry.patch(
            *call.key,
            patch,
            content_type=call.content_type,
            subresource=call.info.subresource,
            view=call.row,
            **vars(write),
        )
        return self._answer(call, result, 200 if existed else 201)

    async def _delete(self, call: _Call) -> web.StreamResponse:
        wanted = await call.delete_options()
        left = self._delete_one(call.row, *call.key[1:], wanted)
        if call.row.returns_deleted or not deletion.is_final(left):
            return self._answer(call, left)
        metadata, row = left["metadata"], call.row
        details = {"name": metadata["name"]} | ({"group": row.group} if row.group else {})
        return success(200, details | {"kind": row.plural, "uid": metadata["uid"]})

    def _delete_one(self, row: Kind, namespace: str, name: str, wanted: DeleteOptions) -> Object:
        return self._registry.delete(row.name, namespace, name, **vars(wanted))

    async def _delete_collection(self, call: _Call) -> web.StreamResponse:
        wanted = await call.delete_options()
        selection = options.list_options(call.http.query, call.row)
        page = list_page(self._registry.store, call.row, call.namespace, selection)
        left = [
            self._delete_one(call.row, call.info.namespace, obj["metadata"]["name"], wanted)
            for obj in page.items
        ]
        return json_answer(self._encoder.list(call.row, page.metadata, left, Format()))

    async def _log(self, call: _Call) -> web.StreamResponse:
        return await self._forward.logs(call.http, call.info.namespace, call.info.name)

    async def _stream(self, call: _Call) -> web.StreamResponse:
        info = call.info
        return await self._forward.stream(call.http, info.namespace, info.name, info.subresource)

    async def _bind(self, call: _Call) -> web.StreamResponse:
        write = call.write_options("CreateOptions")
        binding = await call.body("Binding", "v1")
        node = binding.get("target", {}).get("name")
        if not node:
            raise ApiError(500, "", "target.name: Required value")
        self._registry.bind(call.info.namespace, call.info.name, node, dry_run=write.dry_run)
        return success(201)

    async def _evict(self, call: _Call) -> web.StreamResponse:
        eviction = await call.body("Eviction", "policy/v1")
        if eviction.get("metadata", {}).get("name", call.info.name) != call.info.name:
            raise bad_request("name in URL does not match name in Eviction object")
        wanted = options.delete_options(call.http.query, eviction.get("deleteOptions", {}))
        self._registry.evict(
            call.info.namespace, call.info.name, grace_s=wanted.grace_s, dry_run=wanted.dry_run
        )
        return success(201)

    async def _proxy(self, call: _Call) -> web.StreamResponse:
        return await self._forward.proxy(call.http, call.key, call.info.rest)
