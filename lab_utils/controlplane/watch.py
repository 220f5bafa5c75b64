"""One watch: the changes of a kind, from a revision on, as lines of JSON.

Hides the queue between the store and a client. A client that reads too slowly is cut off rather
than remembered: it lists again, which is how every Kubernetes client is written.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from lab_utils.controlplane.encoding import Encoder, Format, to_json
from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.options import ListOptions, parse_revision
from lab_utils.controlplane.status import ApiError, Object
from lab_utils.controlplane.store import Change, Store

MAX_PENDING = 1000
"""Changes a client may lag behind before it is cut off."""
BOOKMARK_S = 60.0
_MIN_TIMEOUT_S = 1800.0
_INITIAL_END = {"k8s.io/initial-events-end": "true"}
Event = tuple[str, Object]


class Watch:
    """The changes of one kind that one client wants to see."""

    def __init__(
        self, store: Store, row: Kind, namespace: str | None, options: ListOptions
    ) -> None:
        self.store, self.row, self.options = store, row, options
        self._namespace, self._selects = namespace, options.selects
        self._pending: deque[Event] = deque()
        self._wake = asyncio.Event()

    def start(self, on_overflow: Callable[[], object]) -> None:
        """Queue what the client has missed, and from now on every change.

        Raises:
            ApiError: 410, what it has missed is no longer known; 500, its revision is no number.
        """
        try:
            revision = parse_revision(self.options.revision)
        except ValueError as exc:
            raise ApiError(500, "", str(exc)) from exc
        self._on_overflow = on_overflow
        if self.options.send_initial or not revision:
            present = self.store.list(self.row.name, self._namespace)
            self._pending.extend(("ADDED", obj) for obj in present if self._selects(obj))
        else:
            for change in self.store.changes_since(revision):
                self._note(change)
        self.close = self.store.subscribe(self._note)

    def _note(self, change: Change) -> None:
        event = self._event_of(change) if change.kind == self.row.name else None
        if event is None:
            return
        self._pending.append(event)
        self._wake.set()
        if len(self._pending) == MAX_PENDING:
            self._on_overflow()

    def _event_of(self, change: Change) -> Event | None:
        """Give a change as this client sees it: what leaves the selection is DELETED for it."""
        if self._namespace is not None and change.key[0] != self._namespace:
            return None
        before = change.previous is not None and self._selects(change.previous)
        if change.type != "DELETED" and self._selects(change.object):
            return ("MODIFIED" if before else "ADDED"), change.object
        return ("DELETED", change.object) if before else None

    async def next(self, timeout_s: float) -> list[Event]:
        """Wait for events; empty when none came in time."""
        if not self._pending:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
        return self.take()

    def take(self) -> list[Event]:
        """Give the events that are there: none of them is missing up to the store's revision."""
        events = list(self._pending)
        self._pending.clear()
        return events


class Lines:
    """Writes events in the format the client asked for."""

    def __init__(self, row: Kind, encoder: Encoder, form: Format) -> None:
        self._row, self._encoder, self._form = row, encoder, form
        self._has_columns = False

    def events(self, events: list[Event]) -> bytes:
        """Write events; of Tables only the first one ever says what its columns are."""
        return b"".join(self._event(change, obj) for change, obj in events)

    def _event(self, change: str, obj: Object) -> bytes:
        body = self._encoder.one(self._row, obj, self._form, columns=not self._has_columns)
        self._has_columns = True
        return b'{"type":"%b","object":%b}\n' % (change.encode(), body)

    def bookmark(self, revision: int, annotations: dict[str, str] | None = None) -> bytes:
        """Write an event that says nothing but how far the client has seen."""
        metadata: Object = {"resourceVersion": str(revision)}
        metadata |= {"annotations": annotations} if annotations else {}
        head = {"kind": self._row.name, "apiVersion": self._row.api_version}
        if self._form.view.startswith("Partial"):
            head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        return _line("BOOKMARK", head | {"metadata": metadata})


def _line(change: str, obj: Object) -> bytes:
    return to_json({"type": change, "object": obj}) + b"\n"


async def serve_watch(request: web.Request, watch: Watch, lines: Lines) -> web.StreamResponse:
    """Answer a watch until its time is up, its client has gone or lags too far behind.

    Raises:
        ApiError: 500, resourceVersion is no number.
    """
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    transport = request.transport
    if transport is None:  # the client has gone already
        return response
    try:
        watch.start(transport.abort)
    except ApiError as exc:
        if exc.code != 410:
            raise
        await response.prepare(request)
        await response.write(_line("ERROR", exc.as_status()))  # so says the protocol: 200, and this
        return response
    try:
        await _stream(request, response, watch, lines)
    except ConnectionError:
        pass
    finally:
        watch.close()
    return response


async def _stream(
    request: web.Request, response: web.StreamResponse, watch: Watch, lines: Lines
) -> None:
    options, clock = watch.options, asyncio.get_running_loop().time
    timeout_s = options.timeout_s or _MIN_TIMEOUT_S * (1 + random.random())  # noqa: S311
    end = clock() + timeout_s
    marks_start = options.bookmarks and (options.send_initial or options.revision == "0")
    first = lines.events(watch.take())
    first += lines.bookmark(watch.store.revision, _INITIAL_END) if marks_start else b""
    await response.prepare(request)
    if first:
        await response.write(first)
    due = clock() + BOOKMARK_S
    while (now := clock()) < end:
        written = lines.events(await watch.next(min(end, due) - now))
        if clock() >= min(end, due):
            due = clock() + BOOKMARK_S
            # No event is missing up to here: nothing has happened since those were taken.
            written += lines.bookmark(watch.store.revision) if options.bookmarks else b""
        if written:
            await response.write(written)
