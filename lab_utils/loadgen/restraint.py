"""What holds a client back: how many retries it can afford, and how long it waits for an answer."""

import bisect
from collections import deque

from lab_utils.loadgen.outcomes import Row
from lab_utils.loadgen.policy import Hedge, Retries

_SAVED_RETRIES = 10.0  # what a quiet time may save up for a burst of failures
_REMEMBERED = 1_000  # recent answers that a quantile is taken from


class Budget:
    """A bucket of tokens: requests earn them, retries spend them."""

    def __init__(self, retries: Retries | None) -> None:
        self._share = retries.budget if retries else None
        self._tokens = 0.0

    def earn(self) -> None:
        """Take in a request."""
        if self._share is not None:
            self._tokens = min(self._tokens + self._share, max(_SAVED_RETRIES, self._share))

    def spend(self) -> bool:
        """Pay for a retry; False if there is too little."""
        if self._share is None:
            return True
        # Ten tenths are a little less than one.
        affordable = self._tokens > 1 - 1e-9
        self._tokens -= affordable
        return affordable


class Patience:
    """How long an answer may take before the request is sent again.

    Learns from first attempts only, and an attempt that was given up counts with the time it had
    had: it would have taken longer, which is all that a quantile needs to know.
    """

    def __init__(self, hedge: Hedge | None) -> None:
        self._hedge = hedge
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    @property
    def after_s(self) -> float | None:
        """Seconds to wait; None: do not hedge."""
        if self._hedge is None or self._hedge.quantile is None:
            return self._hedge.after_s if self._hedge else None
        if len(self._sorted) < self._hedge.learn:
            return None
        return self._sorted[int(self._hedge.quantile * len(self._sorted))]

    def learn(self, row: Row) -> None:
        """Take in how long a first attempt took."""
        told = row.get("ok") or row["error"] in ("timeout", "cancelled")
        if not told or self._hedge is None or self._hedge.quantile is None:
            return
        taken_s = row["done_s"] - row["sent_s"]
        self._recent.append(taken_s)
        bisect.insort(self._sorted, taken_s)
        if len(self._recent) > max(_REMEMBERED, self._hedge.learn):
            oldest_s = self._recent.popleft()
            del self._sorted[bisect.bisect_left(self._sorted, oldest_s)]
