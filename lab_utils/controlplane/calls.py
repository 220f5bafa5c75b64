"""One request on one resource, taken apart: what it asks for, of what, and what it brings along.

Hides where in a request things stand: path, query, headers or body. Does nothing yet.
"""

from dataclasses import dataclass, replace

from aiohttp import web

from lab_utils.controlplane import decoding, options, schema
from lab_utils.controlplane.authorization import User
from lab_utils.controlplane.deletion import DeleteOptions
from lab_utils.controlplane.encoding import Format
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.options import WriteOptions
from lab_utils.controlplane.requestinfo import RequestInfo
from lab_utils.controlplane.status import Object, bad_request
from lab_utils.controlplane.warn import warn

COLLECTION = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
"""Method -> verb on all objects of a kind."""
SINGLE = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
"""Method -> verb on one object."""
INNER = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}
"""Method -> verb on a subresource."""
USER = web.RequestKey("user", User)
"""Where a request says who sends it; the gate has written it there."""
_ORPHANS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)


def verb_name(info: RequestInfo, request: web.Request) -> str:
    """Name what a request does, in the words of rules of access."""
    verb = (INNER if info.subresource else SINGLE if info.name else COLLECTION).get(
        request.method, request.method.lower()
    )
    is_watch = verb == "list" and (info.is_watch or options.is_true(request.query, "watch"))
    return "watch" if is_watch else verb


@dataclass(frozen=True)
class Call:
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

    async def object(self, write: WriteOptions) -> Object:
        """Read the body as the kind of the path, in the namespace of the path."""
        body = await self.http.read()
        obj = decoding.decode_strictly(self.row, body, self.content_type, write.validation)
        metadata = obj.setdefault("metadata", {})
        namespace = self.info.namespace
        if metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        if not namespace:
            del metadata["namespace"]
        return obj
