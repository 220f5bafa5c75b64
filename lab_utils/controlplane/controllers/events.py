"""Writes the controllers' Events: what they did, and why something does not happen.

What is told matters less than what is done: a refused Event is dropped.
"""

import logging

from lab_utils.controlplane.controllers.actions import Emit
from lab_utils.controlplane.events import Correlator, Told
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import ApiError

_log = logging.getLogger(__name__)


class Recorder:
    """Remembers what was told, so that what is told again is counted."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._correlator = registry, Correlator()

    def record(self, event: Emit) -> None:
        """Create an Event, count it on one that is there, or keep silent."""
        told = Told(event.regarding, event.type, event.reason, event.message, event.component)
        made = self._correlator.correlate(told, self._registry.clock())
        if made is None:
            return
        metadata = made["metadata"]
        known = self._registry.find("Event", metadata["namespace"], metadata["name"])
        try:
            if known is None:
                self._registry.create("Event", made, manager=event.component)
            else:
                changed = {key: made[key] for key in ("count", "lastTimestamp", "message")}
                self._registry.update("Event", known | changed, manager=event.component)
        except ApiError as exc:
            _log.debug("event %s dropped: %s", event.reason, exc)
