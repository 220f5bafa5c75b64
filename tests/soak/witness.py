"""Witnesses: watches that note every event of a kind, so that what they tell can be compared.

A steady witness keeps one watch for as long as the server lets it. A restless one vanishes in the
middle of a stream, reads slowly, and goes on from the last version it saw. Both must tell the same.
"""

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from urllib3.exceptions import HTTPError

from lab_utils.background import Background
from tests.contract.cluster import Cluster, Object

KINDS = ("Deployment", "ReplicaSet", "Pod", "EndpointSlice", "ConfigMap", "Job", "Service")
_SLOW_S = 0.02
_AGAIN_S = 0.2


@dataclass(frozen=True)
class Seen:
    """One watch event; at_s is when it was read (`time.monotonic`)."""

    type: str
    object: Object
    at_s: float

    @property
    def revision(self) -> int:
        """The revision of the whole cluster after this change."""
        return int(self.object["metadata"]["resourceVersion"])

    @property
    def uid(self) -> str:
        """Which object it is."""
        return str(self.object["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.object["metadata"].get("namespace", ""))


class Witness(Background):
    """Follows a kind while its context lasts.

    Args:
        cluster: Where to look.
        kind: What to look at.
        namespace: Where; None for everywhere.
        rng: Makes it restless; None keeps it steady.
    """

    def __init__(
        self, cluster: Cluster, kind: str, namespace: str | None, rng: random.Random | None = None
    ) -> None:
        super().__init__(f"witness-{kind}", leave_s=10.0)
        self._cluster, self.kind, self._rng = cluster, kind, rng
        self._path = cluster.path(kind, namespace)
        self._stream: Any = None
        self.seen: list[Seen] = []
        self.before: list[Object] = []
        """What was there when it began."""
        self.streams = 0
        self.forgotten = 0
        """How often the server no longer knew its version: what it missed then is nobody's loss."""

    def _enter(self) -> None:
        listed = self._cluster.request("GET", self._path).body
        self.before, self._version = listed["items"], listed["metadata"]["resourceVersion"]
        self.began_at = int(self._version)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(HTTPError, OSError, ValueError):  # how _leave() ends it, or the server
                self._follow()
            self._stopped.wait(_AGAIN_S if self._rng is None else self._rng.random())

    def _leave(self, *, late: bool) -> None:
        assert not late, f"the witness of {self.kind} did not end"

    def __exit__(self, *error: Any) -> None:
        """End the watch that is open, then the thread."""
        self._stopped.set()
        if self._stream is not None:
            with suppress(OSError, ValueError):  # it has ended
                self._stream.shutdown()
        super().__exit__(*error)

    def _follow(self) -> None:
        self._stream = stream = self._cluster.open(
            "GET", self._path, stream=True, watch=1, resourceVersion=self._version,
            allowWatchBookmarks="true",
        )  # fmt: skip
        self.streams += 1
        leaves = self._patience()
        try:
            if self._stopped.is_set():  # nobody will shut this one
                return
            for line in stream:
                if self._stopped.is_set() or self._note(json.loads(line)) or leaves():
                    return
        finally:
            stream.close()

    def _note(self, event: Object) -> bool:
        """Keep an event; True when the server has nothing more to say."""
        if event["type"] == "ERROR":
            self.forgotten += 1
            self._enter()
            return True
        self._version = event["object"]["metadata"]["resourceVersion"]
        if event["type"] != "BOOKMARK":
            self.seen.append(Seen(event["type"], event["object"], time.monotonic()))
        return False

    def _patience(self) -> Callable[[], bool]:
        """Make what tells after each event whether to vanish; a restless one may dawdle too."""
        if self._rng is None:
            return lambda: False
        left = iter(range(self._rng.choice((1, 3, 10, 100)), -1, -1))
        slow_s = self._rng.choice((0.0, 0.0, _SLOW_S))
        return lambda: self._stopped.wait(slow_s) or next(left) == 0
