"""Lists in chunks: every page of one list shows the same moment.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from dataclasses import dataclass

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.options import ContinueExpired, ListOptions, Position, parse_revision
from lab_utils.controlplane.status import ApiError, Object, bad_request
from lab_utils.controlplane.store import Store


@dataclass(frozen=True)
class Page:
    """What one list request gets."""

    items: list[Object]
    metadata: Object


def list_page(store: Store, row: Kind, namespace: str | None, options: ListOptions) -> Page:
    """List a kind: all of it, a page of it, or as it was.

    Raises:
        ApiError: 400 for a bad resourceVersion, 410 for one that is forgotten, 504 for one to come.
    """
    revision, objects = _snapshot(store, row, namespace, options)
    start = options.position.start if options.position else None
    found = [obj for obj in objects if options.selects(obj) and _is_behind(obj, start)]
    metadata: Object = {"resourceVersion": str(revision)}
    if not options.limit or len(found) <= options.limit:
        return Page(found, metadata)
    page = found[: options.limit]
    metadata["continue"] = Position(revision, _key(page[-1])).as_token()
    if not options.is_selective:
        metadata["remainingItemCount"] = len(found) - len(page)
    return Page(page, metadata)


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _is_behind(obj: Object, start: tuple[str, str] | None) -> bool:
    return start is None or _key(obj) > start


def _snapshot(
    store: Store, row: Kind, namespace: str | None, options: ListOptions
) -> tuple[int, list[Object]]:
    position = options.position
    if position is not None and position.revision >= 0:
        try:
            return position.revision, store.list_at(row.name, namespace, position.revision)
        except ApiError as exc:
            raise ContinueExpired(position) from exc
    wanted = _revision(store, options)
    if wanted and options.match == "Exact":
        try:
            return wanted, store.list_at(row.name, namespace, wanted)
        except ApiError as exc:
            why = "The resourceVersion for the provided list is too old."
            raise ApiError(410, "Expired", why) from exc
    return store.revision, store.list(row.name, namespace)


def _revision(store: Store, options: ListOptions) -> int:
    try:
        wanted = parse_revision(options.revision)
    except ValueError as exc:
        raise bad_request(f"invalid resource version: {exc}") from exc
    if wanted > store.revision:
        why = "Too large resource version"
        cause = {"reason": "ResourceVersionTooLarge", "message": why}
        details = {"causes": [cause], "retryAfterSeconds": 1}
        message = f"Timeout: {why}: {wanted}, current: {store.revision}"
        raise ApiError(504, "Timeout", message, details=details)
    return wanted
