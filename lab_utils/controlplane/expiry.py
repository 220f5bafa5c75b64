"""Events do not stay: an hour after its last change each is forgotten."""

from datetime import datetime, timedelta

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change, Store

EVENT_TTL = timedelta(hours=1)
"""As a real API server's --event-ttl."""
_Key = tuple[str, str]


class EventExpiry:
    """Removes old events when a new one comes, so that no timer has to run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[_Key, datetime] = {}
        """When each Event was written last, the oldest first; only of those that are there."""
        store.subscribe(self._forget)

    def note(self, event: Object, now: datetime) -> None:
        """Remember an event about to be written, and remove those whose time is over."""
        key = event["metadata"]["namespace"], event["metadata"]["name"]
        self._written.pop(key, None)
        self._written[key] = now
        while now - (oldest := next(iter(self._written.items())))[1] >= EVENT_TTL:
            self._store.remove("Event", *oldest[0])

    def _forget(self, change: Change) -> None:
        if change.type == "DELETED" and change.kind == "Event":
            self._written.pop(change.key, None)
