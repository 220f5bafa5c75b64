"""HTTP responses: documents, refusals and the texts that are the same for every path."""

from collections.abc import Mapping

from aiohttp import web

from lab_utils.controlplane.discovery import groups
from lab_utils.controlplane.encoding import to_json
from lab_utils.controlplane.parsing import JSON
from lab_utils.controlplane.status import ApiError, Object


def json_answer(
    document: Object | bytes,
    *,
    media: str = JSON,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer with a document."""
    body = document if isinstance(document, bytes) else to_json(document)
    sent = {"Content-Type": media} | dict(headers or {})
    return web.Response(status=status, body=body, headers=sent)


def success(code: int, details: Object | None = None) -> web.Response:
    """Answer that it is done, where there is no object to show."""
    status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    status |= {"details": details} if details else {"code": code}
    return json_answer(status, status=code)


def refusal(error: ApiError, *, is_head: bool = False) -> web.Response:
    """Answer with the Status of an error."""
    status = {key: value for key, value in error.as_status().items() if value != ""}
    retry_s = (error.details or {}).get("retryAfterSeconds")
    headers = {"Retry-After": str(retry_s)} if retry_s else {}
    return json_answer(b"" if is_head else to_json(status), status=error.code, headers=headers)


def absent(path: str) -> web.Response:
    """Answer for a path that nothing is at: in plain text where not even an API group is.

    Raises:
        ApiError: 404, the path is below an API.
    """
    first, group, *_ = [*path.split("/")[1:], "", ""]
    if first == "api" or (first == "apis" and group in groups()):
        raise no_such_resource()
    return web.Response(status=404, text="404 page not found\n")


def no_such_resource() -> ApiError:
    """Say that a path below an API names no resource (404)."""
    message = "the server could not find the requested resource"
    return ApiError(404, "NotFound", message, details={})


def no_such_method() -> ApiError:
    """Say that a resource has no such verb (405)."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})
