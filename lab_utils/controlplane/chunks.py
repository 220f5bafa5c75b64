"""Lists in chunks: every page of one list shows the same moment.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

import base64
import json
from dataclasses import dataclass

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.options import ListOptions, parse_revision
from lab_utils.controlplane.parsing import read_json
from lab_utils.controlplane.status import ApiError, Object, bad_request
from lab_utils.controlplane.store import Store

_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)
_TOO_OLD = "The resourceVersion for the provided list is too old."


@dataclass(frozen=True)
class _Position:
    """Where a list goes on: after a (namespace, name), at a revision or (-1) as it is now."""

    revision: int
    start: tuple[str, str]

    def as_token(self) -> str:
        key = "/".join(part for part in self.start if part) + "\0"
        token = {"v": "meta.k8s.io/v1", "rv": self.revision, "start": key}
        text = json.dumps(token, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, token: str) -> "_Position":
        try:
            padded = token + "=" * (-len(token) % 4)
            read = read_json(base64.urlsafe_b64decode(padded))
            namespace, _, name = read["start"].rstrip("\0").rpartition("/")
            return cls(int(read["rv"]), (namespace, name))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as exc:
            why = f"invalid continue token: continue key is not valid: {exc}"
            raise bad_request(why) from exc


class _ContinueExpired(ApiError):
    """The list's revision is forgotten (410); the answer offers to go on inconsistently."""

    def __init__(self, position: _Position) -> None:
        super().__init__(410, "Expired", _CONTINUE_EXPIRED)
        self._now = _Position(-1, position.start)

    def as_status(self) -> Object:
        return super().as_status() | {"metadata": {"continue": self._now.as_token()}}


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
    position = _Position.parse(options.token) if options.token else None
    revision = _revision(store, options, position)
    objects = _objects(store, row.name, namespace, revision, position)
    found = [
        obj for obj in objects
        if options.selects(obj) and (position is None or _key(obj) > position.start)
    ]  # fmt: skip
    metadata: Object = {"resourceVersion": str(revision)}
    if not options.limit or len(found) <= options.limit:
        return Page(found, metadata)
    page = found[: options.limit]
    metadata["continue"] = _Position(revision, _key(page[-1])).as_token()
    if not options.is_selective:
        metadata["remainingItemCount"] = len(found) - len(page)
    return Page(page, metadata)


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _revision(store: Store, options: ListOptions, position: _Position | None) -> int:
    """Choose the moment that is shown."""
    if position is not None:
        return position.revision if position.revision >= 0 else store.revision
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
    return wanted if wanted and options.match == "Exact" else store.revision


def _objects(
    store: Store, kind: str, namespace: str | None, revision: int, position: _Position | None
) -> list[Object]:
    if revision == store.revision:
        return store.list(kind, namespace)
    try:
        return store.list_at(kind, namespace, revision)
    except ApiError as exc:
        if position:
            raise _ContinueExpired(position) from exc
        raise ApiError(410, "Expired", _TOO_OLD) from exc
