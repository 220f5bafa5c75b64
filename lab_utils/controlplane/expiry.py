"""Events do not stay: an hour after its last change each is forgotten."""

from collections import deque
from datetime import datetime, timedelta

from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Store

EVENT_TTL = timedelta(hours=1)
"""As a real API server's --event-ttl."""


class EventExpiry:
    """Removes old events when a new one comes, so that no timer has to run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: deque[tuple[datetime, Object]] = deque()

    def note(self, event: Object, now: datetime) -> None:
        """Remember an event about to be written, and remove those whose time is over."""
        while self._written and self._written[0][0] + EVENT_TTL <= now:
            metadata = self._written[0][1]["metadata"]
            key = "Event", metadata["namespace"], metadata["name"]
            if self._store.get(*key) is self._written.popleft()[1]:
                self._store.remove(*key)
        self._written.append((now, event))
