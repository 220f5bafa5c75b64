"""The paths that are no objects: health, version, discovery and OpenAPI.

Hides which form of a document a client gets; what is in them is `discovery` and `openapi`.
"""

import hashlib

from aiohttp import web

from lab_utils.controlplane import discovery, openapi
from lab_utils.controlplane.answers import absent, json_answer, no_such_method
from lab_utils.controlplane.encoding import as_yaml, negotiate, not_acceptable, to_json
from lab_utils.controlplane.parsing import YAML

_PROTOBUF = "proto-openapi"


def answer(request: web.Request) -> web.Response:
    """Answer a path below which there are no objects (404, 405 or 406)."""
    path = request.path.rstrip("/")
    if path in discovery.HEALTH or path.rpartition("/")[0] in discovery.HEALTH:
        return web.Response(text=_health(path, verbose="verbose" in request.query))
    if path.startswith("/openapi/"):
        return _openapi(request, path.removeprefix("/openapi/"))
    document = discovery.documents().get(path)
    if document is None:
        return absent(path)
    if path == "/version" and request.method != "GET":
        raise no_such_method()
    accept = request.headers.get("Accept", "")
    if path in ("/api", "/apis") and discovery.AGGREGATED in accept.replace(" ", "").split(","):
        return _aggregated(request, core=path == "/api")
    media = negotiate(accept, views=False).media
    return json_answer(as_yaml(document) if media == YAML else to_json(document), media=media)


def _health(path: str, *, verbose: bool) -> str:
    """Say that all is well, each check by name where that is asked for."""
    if not verbose:
        return "ok"
    check, _, one = path.strip("/").partition("/")
    return f"[+]{one or 'ping'} ok\n{check} check passed\n"


def _aggregated(request: web.Request, *, core: bool) -> web.Response:
    """Answer with all of discovery at once; kubectl asks by its tag whether its cache holds."""
    document = to_json(discovery.aggregated(core=core))
    tag = f'"{hashlib.sha512(document).hexdigest().upper()}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=headers)
    return json_answer(document, media=discovery.AGGREGATED, headers=headers)


def _openapi(request: web.Request, name: str) -> web.Response:
    accept = request.headers.get("Accept", "")
    if _PROTOBUF in accept and "json" not in accept:
        raise not_acceptable(plain=True)
    if name == "v2":
        return json_answer(openapi.document_v2())
    if name == "v3":
        return json_answer(openapi.index_v3())
    found = openapi.document_v3(name.removeprefix("v3"))
    if found is None:
        return absent(request.path)
    return json_answer(found, headers={"Cache-Control": "public, immutable"})
