"""Warm-up: the first requests after a start or after a long rest take longer.

Compiled kernels and filled caches are what makes a model fast; the first requests pay for them.
Never looks at a clock.
"""

from worker.settings import Settings


class Warmth:
    """How warm the model is.

    The first request takes `factor` times as long as a warm one; the excess shrinks by equal steps
    and is gone after `requests` requests. After `cold_after_s` without work it starts anew.
    """

    def __init__(self, requests: int, factor: float, cold_after_s: float) -> None:
        self._requests, self._factor, self._cold_after_s = requests, factor, cold_after_s
        self._served = 0
        self._resting_since_s: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Warmth":
        """Make the cold start that the settings ask for."""
        return cls(settings.warmup, settings.warmup_factor, settings.cold_after_s)

    def configured(self, settings: Settings) -> "Warmth":
        """Stay as warm as it is, unless the settings ask for another warm-up."""
        new = Warmth.of(settings)
        same = (new._requests, new._factor) == (self._requests, self._factor)
        return self if same and new._cold_after_s == self._cold_after_s else new

    def take(self, requests: int, now_s: float) -> float:
        """Give the factor for requests that start together now, and note that they were served."""
        if self._resting_since_s is not None and self._cold_after_s:
            if now_s - self._resting_since_s >= self._cold_after_s:
                self._served = 0
            self._resting_since_s = None
        left = 1 - self._served / self._requests if self._served < self._requests else 0.0
        self._served += requests
        return 1 + (self._factor - 1) * left

    def rest(self, now_s: float) -> None:
        """Note that there is no work from now on."""
        self._resting_since_s = now_s
