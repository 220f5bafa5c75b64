"""One server, event by event: any order of service, deadlines and batches.

The same rules as the lab's worker, on an ideal clock: the twin that a measured run is held against.
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab_utils.errors import InvalidInput


@dataclass(frozen=True)
class Server:
    """How a server serves.

    Attributes:
        slots: Batches (or single requests) served at a time.
        places: Requests that may wait; None for any number.
        order: "fifo", who came first, or "lifo", who came last.
        deadline_s: A request that has waited this long is dropped; infinity for never.
        batch_most: Requests of one batch.
        batch_wait_s: How long the oldest request waits for its batch to fill.
        batch_base_s: a, the part of a service that a batch spends once: T(b) = a + m b, where
            a + m is the time of one alone. Without, a batch takes as long as one after the other.
    """

    slots: int = 1
    places: int | None = None
    order: str = "fifo"
    deadline_s: float = math.inf
    batch_most: int = 1
    batch_wait_s: float = 0.0
    batch_base_s: float = 0.0

    def __post_init__(self) -> None:
        if self.order not in ("fifo", "lifo"):
            raise InvalidInput(f"order is {self.order!r}: want 'fifo' or 'lifo'")
        if self.slots < 1 or self.batch_most < 1:
            raise InvalidInput(
                f"slots is {self.slots}, batch_most is {self.batch_most}: want at least 1 of each"
            )


@dataclass(frozen=True)
class Served:
    """What became of each request, in the order given.

    Attributes:
        start_s: When service began; NaN if it never did.
        end_s: When it was done; NaN if it never was.
        batch_size: Requests served together; 0 if it was not served.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    batch_size: NDArray[np.int64]

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Whether each was served: neither refused nor dropped."""
        return ~np.isnan(self.end_s)


def serve(arrivals_s: ArrayLike, services_s: ArrayLike, server: Server | None = None) -> Served:
    """Put requests through one server.

    Args:
        arrivals_s: (n,), in order.
        services_s: (n,): how long each takes alone.
        server: How it serves; one slot, first come, first served, by default.

    Returns:
        What became of each request.

    Raises:
        InvalidInput: The arrivals are not in order.

    Source:
        Discrete-event simulation: the next event is an arrival, the end of a batch, or the moment
        at which a batch need not wait any longer.
    """
    arrivals, services = np.asarray(arrivals_s, float), np.asarray(services_s, float)
    if np.any(np.diff(arrivals) < 0):
        raise InvalidInput("arrivals_s is not in order: sort the requests by the time they came")
    play = _Play(server or Server(), arrivals.tolist(), services.tolist())
    for index, now_s in enumerate(play.arrivals_s):
        play.advance(now_s)
        play.arrive(index, now_s)
    play.advance(math.inf)
    return Served(np.array(play.start_s), np.array(play.end_s), np.array(play.batch_size, int))


@dataclass
class _Play:
    """The state between two events."""

    server: Server
    arrivals_s: list[float]
    services_s: list[float]
    waiting: deque[int] = field(default_factory=deque)
    ends_s: list[float] = field(default_factory=list)  # of the busy slots, a heap

    def __post_init__(self) -> None:
        n = len(self.arrivals_s)
        self.start_s, self.end_s = [math.nan] * n, [math.nan] * n
        self.batch_size = [0] * n

    def arrive(self, index: int, now_s: float) -> None:
        """Take a request in, or refuse it; what a free slot would take needs no place."""
        server = self.server
        self._drop_late(now_s)
        room = math.inf if server.places is None else server.places
        room += (server.slots - len(self.ends_s)) * server.batch_most
        if len(self.waiting) < room:
            self.waiting.append(index)
            self._start(now_s)

    def advance(self, until_s: float) -> None:
        """Let everything happen that is due before a moment, or at it."""
        while True:
            opens_s = self._opens_s()
            next_s = min(self.ends_s[0] if self.ends_s else math.inf, opens_s)
            if next_s > until_s or next_s == math.inf:
                return
            if self.ends_s and self.ends_s[0] <= opens_s:
                heapq.heappop(self.ends_s)
            self._start(next_s)

    def _opens_s(self) -> float:
        """Give the moment at which a free slot takes a batch that is not full."""
        if not self.waiting or len(self.ends_s) >= self.server.slots:
            return math.inf
        return self.arrivals_s[self.waiting[0]] + self.server.batch_wait_s

    def _start(self, now_s: float) -> None:
        """Start what can start now."""
        server, waiting = self.server, self.waiting
        self._drop_late(now_s)
        while waiting and len(self.ends_s) < server.slots:
            if len(waiting) < server.batch_most and self._opens_s() > now_s:
                return  # more may come in time for this batch
            take = waiting.popleft if server.order == "fifo" else waiting.pop
            batch = [take() for _ in range(min(server.batch_most, len(waiting)))]
            end_s = now_s + self._took_s(batch)
            heapq.heappush(self.ends_s, end_s)
            for index in batch:
                self.start_s[index], self.end_s[index] = now_s, end_s
                self.batch_size[index] = len(batch)

    def _drop_late(self, now_s: float) -> None:
        """Drop who has waited for as long as the deadline; the oldest are in front."""
        deadline_s = self.server.deadline_s
        while self.waiting and self.arrivals_s[self.waiting[0]] + deadline_s <= now_s:
            self.waiting.popleft()

    def _took_s(self, batch: list[int]) -> float:
        base_s = self.server.batch_base_s
        alone_s = [self.services_s[index] for index in batch]
        shared_s = max(min(base_s, one_s) for one_s in alone_s)
        return shared_s + sum(one_s - min(base_s, one_s) for one_s in alone_s)
