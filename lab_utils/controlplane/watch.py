"""One watch: the changes of a kind, from a revision on, as lines of JSON.

Hides the queue between the store and a client. A client that reads too slowly is cut off rather
than remembered: it lists again, which is how every Kubernetes client is written.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator

from aiohttp import web

from lab_utils.controlplane.encoding import Encoder, Format, View, partial_metadata, to_json
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.options import ListOptions, parse_revision
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.store import Change, Store

MAX_PENDING = 1000
"""Changes a client may lag behind before it is cut off."""
BOOKMARK_S = 60.0
_MIN_TIMEOUT_S = 1800.0
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


class Watch:
    """The changes of one kind that one client wants to see."""

    def __init__(
        self,
        store: Store,
        row: Kind,
        namespace: str | None,
        selects: Callable[[Object], bool],
        on_overflow: Callable[[], object],
    ) -> None:
        self._row, self._namespace, self._selects = row, namespace, selects
        self._on_overflow = on_overflow
        self._pending: deque[tuple[str, Object]] = deque()
        self._wake = asyncio.Event()
        self.close = store.subscribe(self._note)

    def _note(self, change: Change) -> None:
        if change.kind != self._row.name:
            return
        event = self.event_of(change)
        if event is None:
            return
        self._pending.append(event)
        self._wake.set()
        if len(self._pending) == MAX_PENDING:
            self._on_overflow()

    def event_of(self, change: Change) -> tuple[str, Object] | None:
        """Give a change as this client sees it: what leaves the selection is DELETED for it."""
        if self._namespace is not None and change.key[0] != self._namespace:
            return None
        before = change.previous is not None and self._selects(change.previous)
        if change.type == "DELETED":
            return ("DELETED", change.object) if before else None
        if self._selects(change.object):
            return ("MODIFIED" if before else "ADDED"), change.object
        return ("DELETED", change.object) if before else None

    def replay(self, changes: Iterator[Change]) -> None:
        """Queue changes of the past."""
        for change in changes:
            self._note(change)

    def show(self, objects: list[Object]) -> None:
        """Queue objects as if they were new."""
        self._pending.extend(("ADDED", obj) for obj in objects if self._selects(obj))

    async def next(self, timeout_s: float) -> list[tuple[str, Object]]:
        """Wait for events; empty when none came in time."""
        if not self._pending:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return []
        events = list(self._pending)
        self._pending.clear()
        return events


class Lines:
    """Writes events in the format the client asked for."""

    def __init__(self, row: Kind, encoder: Encoder, form: Format, view: View) -> None:
        self._row, self._encoder, self._form, self._view = row, encoder, form, view
        self._has_headers = False

    def event(self, change: str, obj: Object) -> bytes:
        """Write one event."""
        return b'{"type":"%b","object":%b}\n' % (change.encode(), self._object(obj))

    def _object(self, obj: Object) -> bytes:
        if not self._form.view:
            return self._encoder.object(obj)
        if self._form.view != "Table":
            return to_json(partial_metadata(obj))
        version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        shown = self._view(self._row, version, [obj])
        if self._has_headers:
            shown["columnDefinitions"] = None
        self._has_headers = True
        return to_json(shown)

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """Write an event that says nothing but how far the client has seen."""
        metadata: Object = {"resourceVersion": str(revision)}
        metadata |= {"annotations": annotations} if annotations else {}
        head = {"kind": self._row.name, "apiVersion": self._row.api_version}
        return to_json({"type": "BOOKMARK", "object": head | {"metadata": metadata}}) + b"\n"


def error_line(error: ApiError) -> bytes:
    """Write the event that ends a watch the server cannot serve: HTTP 200 with an ERROR inside."""
    return to_json({"type": "ERROR", "object": error.as_status()}) + b"\n"


async def serve_watch(
    request: web.Request,
    store: Store,
    row: Kind,
    namespace: str | None,
    options: ListOptions,
    lines: Lines,
) -> web.StreamResponse:
    """Answer a watch until its time is up, its client has gone or lags too far behind.

    Raises:
        ApiError: 500, resourceVersion is no number.
    """
    try:
        revision = parse_revision(options.revision)
    except ValueError as exc:
        raise ApiError(500, "", str(exc)) from exc
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    transport = request.transport
    watch = Watch(store, row, namespace, options.selects, transport.abort if transport else str)
    try:
        first = _start(watch, store, row, namespace, options, revision)
        marks_start = options.bookmarks and (options.send_initial or options.revision == "0")
        start = lines.bookmark(store.revision, _INITIAL_END) if marks_start else b""
        await response.prepare(request)
        if first is not None:
            await response.write(first)
        else:
            await _stream(response, store, watch, options, lines, start)
    except ConnectionError:
        pass
    finally:
        watch.close()
    return response


def _start(
    watch: Watch,
    store: Store,
    row: Kind,
    namespace: str | None,
    options: ListOptions,
    revision: int,
) -> bytes | None:
    """Queue what the client has missed; give the error line when that is no longer known."""
    if options.send_initial or not revision:
        watch.show(store.list(row.name, namespace))
        return None
    try:
        watch.replay(iter(store.changes_since(revision)))
    except ApiError as exc:
        return error_line(exc)
    return None


async def _stream(
    response: web.StreamResponse,
    store: Store,
    watch: Watch,
    options: ListOptions,
    lines: Lines,
    start: bytes,
) -> None:
    clock = asyncio.get_running_loop().time
    timeout_s = options.timeout_s or _MIN_TIMEOUT_S * (1 + random.random())  # noqa: S311
    end = clock() + timeout_s
    first = [lines.event(*event) for event in await watch.next(0)]
    if written := b"".join(first) + start:
        await response.write(written)
    while (left_s := end - clock()) > 0:
        events = await watch.next(min(left_s, BOOKMARK_S))
        if events:
            await response.write(b"".join(lines.event(*event) for event in events))
        elif options.bookmarks:
            await response.write(lines.bookmark(store.revision))
