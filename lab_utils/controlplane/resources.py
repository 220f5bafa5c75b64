"""The verbs of every resource: from an HTTP request to the registry and back.

No kind has a handler of its own: what differs between kinds is a row of `kinds`, what differs
between subresources is one method each.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aiohttp import web

from lab_utils.controlplane import (
    decoding,
    deletion,
    discovery,
    documents,
    options,
    views,
)
from lab_utils.controlplane.answers import (
    absent,
    json_answer,
    no_such_method,
    no_such_resource,
    success,
)
from lab_utils.controlplane.authorization import authorize, authorize_path
from lab_utils.controlplane.calls import COLLECTION, INNER, SINGLE, USER, Call, verb_name
from lab_utils.controlplane.chunks import list_page
from lab_utils.controlplane.computed import Computed, Metrics
from lab_utils.controlplane.deletion import DeleteOptions
from lab_utils.controlplane.encoding import Encoder, Format, negotiate
from lab_utils.controlplane.forward import Forwarder
from lab_utils.controlplane.kinds import BY_ROUTE, Kind
from lab_utils.controlplane.parsing import JSON
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.requestinfo import RequestInfo, parse_path
from lab_utils.controlplane.status import ApiError, Object, bad_request
from lab_utils.controlplane.subresources import scale_of, scaled
from lab_utils.controlplane.warn import warn
from lab_utils.controlplane.watch import Lines, Watch, serve_watch

_NEEDS_NAMESPACE = ("create", "deletecollection")


Verb = Callable[[Call], Awaitable[web.StreamResponse]]


class Resources:
    """Answers every path below a group version."""

    def __init__(self, registry: Registry, forward: Forwarder, metrics: Metrics) -> None:
        self._registry, self._forward = registry, forward
        self._computed = Computed(metrics, registry.clock)
        self._encoder = Encoder(registry.clock, registry.store)
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
        authorize(request[USER], verb_name(info, request), info)
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
        return await verb(Call(request, info, row, form))

    def _verb(self, info: RequestInfo, row: Kind, method: str) -> Verb:
        if info.subresource:
            return self._subresource(info, row, method)
        verb = (SINGLE if info.name else COLLECTION).get(method, "")
        needs_namespace = row.namespaced and verb in _NEEDS_NAMESPACE
        if verb not in row.verbs or (needs_namespace and not info.namespace):
            raise no_such_method()
        return self._verbs[verb]

    def _subresource(self, info: RequestInfo, row: Kind, method: str) -> Verb:
        name, verb = info.subresource, INNER.get(method, "")
        if name not in discovery.subresources(row):
            raise no_such_resource()
        if name == "proxy":
            return self._proxy
        if info.rest:
            raise no_such_resource()
        if verb not in discovery.SUBRESOURCES[name][0]:
            raise no_such_method()
        return self._subresources.get(name) or self._verbs[verb]

    def _answer(self, call: Call, obj: Object, status: int = 200) -> web.Response:
        if call.info.subresource == "scale":
            return json_answer(scale_of(obj), status=status)
        body = self._encoder.one(call.row, obj, call.form)
        return json_answer(body, media=call.form.media, status=status)

    async def _get(self, call: Call) -> web.StreamResponse:
        if not call.row.stored:
            return self._answer(call, await self._computed.get(call.row, *call.key[1:]))
        return self._answer(call, self._registry.get(*call.key))

    async def _list(self, call: Call) -> web.StreamResponse:
        wanted = options.list_options(call.http.query, call.row, is_watch=call.info.is_watch)
        if not call.row.stored:
            if wanted.is_watch:
                raise no_such_method()
            shown = await self._computed.list(call.row, call.namespace, wanted.selects)
            return json_answer(self._encoder.list(call.row, {}, shown, call.form))
        if wanted.is_watch:
            watch = Watch(self._registry.store, call.row, call.namespace, wanted)
            form = replace(call.form, media=JSON)  # a watch is lines of JSON, whatever is in them
            return await serve_watch(call.http, watch, Lines(call.row, self._encoder, form))
        page = list_page(self._registry.store, call.row, call.namespace, wanted)
        body = self._encoder.list(call.row, page.metadata, page.items, call.form)
        return json_answer(body, media=call.form.media)

    async def _create(self, call: Call) -> web.StreamResponse:
        write = call.write_options("CreateOptions")
        obj = await call.object(write)
        if not call.row.stored:
            return self._answer(call, self._computed.create(call.row, obj, call.http[USER]), 201)
        views.check_new(call.row, obj)
        created = self._registry.create(
            call.row.name,
            views.stored(call.row, obj),
            manager=write.manager,
            dry_run=write.dry_run,
        )
        return self._answer(call, created, 201)

    async def _update(self, call: Call) -> web.StreamResponse:
        write, subresource = call.write_options("UpdateOptions"), call.info.subresource
        existed = self._registry.find(*call.key) is not None
        if subresource == "scale":
            wanted = await call.body("Scale", "autoscaling/v1")
            obj = scaled(call.row, self._registry.get(*call.key), wanted)
        else:
            obj = await call.object(write)
        decoding.require_name(obj, call.info.name)
        updated = self._registry.update(
            call.row.name,
            views.stored(call.row, obj),
            subresource=subresource,
            manager=write.manager,
            dry_run=write.dry_run,
        )
        return self._answer(call, updated, 200 if existed else 201)

    async def _patch(self, call: Call) -> web.StreamResponse:
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

    async def _delete(self, call: Call) -> web.StreamResponse:
        wanted = await call.delete_options()
        left = self._delete_one(call.row, *call.key[1:], wanted)
        if call.row.returns_deleted or not deletion.is_final(left):
            return self._answer(call, left)
        metadata, row = left["metadata"], call.row
        details = {"name": metadata["name"]} | ({"group": row.group} if row.group else {})
        return success(200, details | {"kind": row.plural, "uid": metadata["uid"]})

    def _delete_one(self, row: Kind, namespace: str, name: str, wanted: DeleteOptions) -> Object:
        return self._registry.delete(row.name, namespace, name, **vars(wanted))

    async def _delete_collection(self, call: Call) -> web.StreamResponse:
        wanted = await call.delete_options()
        selection = options.list_options(call.http.query, call.row)
        page = list_page(self._registry.store, call.row, call.namespace, selection)
        left = [
            self._delete_one(call.row, call.info.namespace, obj["metadata"]["name"], wanted)
            for obj in page.items
        ]
        return json_answer(self._encoder.list(call.row, page.metadata, left, Format()))

    async def _log(self, call: Call) -> web.StreamResponse:
        return await self._forward.logs(call.http, call.info.namespace, call.info.name)

    async def _stream(self, call: Call) -> web.StreamResponse:
        info = call.info
        return await self._forward.stream(call.http, info.namespace, info.name, info.subresource)

    async def _bind(self, call: Call) -> web.StreamResponse:
        write = call.write_options("CreateOptions")
        binding = await call.body("Binding", "v1")
        node = binding.get("target", {}).get("name")
        if not node:
            raise ApiError(500, "", "target.name: Required value")
        self._registry.bind(call.info.namespace, call.info.name, node, dry_run=write.dry_run)
        return success(201)

    async def _evict(self, call: Call) -> web.StreamResponse:
        eviction = await call.body("Eviction", "policy/v1")
        if eviction.get("metadata", {}).get("name", call.info.name) != call.info.name:
            raise bad_request("name in URL does not match name in Eviction object")
        wanted = options.delete_options(call.http.query, eviction.get("deleteOptions", {}))
        self._registry.evict(
            call.info.namespace, call.info.name, grace_s=wanted.grace_s, dry_run=wanted.dry_run
        )
        return success(201)

    async def _proxy(self, call: Call) -> web.StreamResponse:
        return await self._forward.proxy(call.http, call.key, call.info.rest)
