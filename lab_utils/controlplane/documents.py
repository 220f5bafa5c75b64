"""The paths that are no objects: health, version, discovery and OpenAPI.

Hides which form of a document a client gets; what is in them is `discovery` and `openapi`.
"""

from aiohttp import web

from lab_utils.controlplane import discovery, openapi
from lab_utils.controlplane.answers import (
    json_answer,
    no_such_method,
    no_such_resource,
    page_not_found,
)
from lab_utils.controlplane.encoding import as_yaml, negotiate, not_acceptable, to_json
from lab_utils.controlplane.gate import PUBLIC
from lab_utils.controlplane.parsing import YAML
from lab_utils.controlplane.status import Object

_PROTOBUF = "proto-openapi"


def answer(request: web.Request) -> web.Response:
    """Answer a path below which there are no objects.

    Raises:
        ApiError: 404, or 406.
    """
    path = request.path.rstrip("/")
    first, *rest = path.split("/")[1:] or [""]
    if path in PUBLIC or (len(rest) == 1 and f"/{first}" in PUBLIC):
        return web.Response(text="ok")
    if path == "/version":
        if request.method != "GET":
            raise no_such_method()
        return _plain(request, discovery.version())
    if path == "":
        return _plain(request, discovery.paths())
    if first == "openapi":
        return _openapi(request, "/".join(rest))
    if first == "api" and len(rest) <= 1:
        return _core(request, rest)
    if first == "apis" and len(rest) <= 2:
        return _groups(request, rest)
    return page_not_found()


def _core(request: web.Request, rest: list[str]) -> web.Response:
    if not rest:
        return _discovery(request, discovery.core_versions(request.host), core=True)
    if ("", rest[0]) not in discovery.group_versions():
        raise no_such_resource()
    return _plain(request, discovery.resource_list(("", rest[0])))


def _groups(request: web.Request, rest: list[str]) -> web.Response:
    if not rest:
        return _discovery(request, discovery.group_list(), core=False)
    if rest[0] not in discovery.groups():
        return page_not_found()
    if len(rest) == 1:
        return _plain(request, discovery.group(rest[0]))
    if (rest[0], rest[1]) not in discovery.group_versions():
        raise no_such_resource()
    return _plain(request, discovery.resource_list((rest[0], rest[1])))


def _plain(request: web.Request, document: Object) -> web.Response:
    media = negotiate(request.headers.get("Accept", ""), views=False).media
    return json_answer(as_yaml(document) if media == YAML else to_json(document), media=media)


def _discovery(request: web.Request, plain: Object, *, core: bool) -> web.Response:
    """Answer with the aggregated form if the client knows it."""
    accepted = [part.strip() for part in request.headers.get("Accept", "").split(",")]
    if discovery.AGGREGATED not in accepted:
        return _plain(request, plain)
    return _tagged(request, to_json(discovery.aggregated(core=core)), discovery.AGGREGATED)


def _tagged(request: web.Request, document: bytes, media: str) -> web.Response:
    headers = {"ETag": discovery.etag(document), "Vary": "Accept"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return json_answer(document, media=media, headers=headers)


def _openapi(request: web.Request, rest: str) -> web.Response:
    accept = request.headers.get("Accept", "")
    if _PROTOBUF in accept and "json" not in accept:
        raise not_acceptable(plain=True)
    if rest == "v2":
        return json_answer(openapi.document_v2())
    if rest == "v3":
        return json_answer(openapi.index_v3())
    found = openapi.document_v3(rest.removeprefix("v3/"))
    if found is None:
        return page_not_found()
    return json_answer(found, headers={"Cache-Control": "public, immutable"})
