"""How the client asks: what it does with slow and failed requests, and whom it asks.

Small parts that are put together: `Policy(retries=Retries(3, budget=0.1), hedge=Hedge(0.06))`.
Each refuses what cannot be used when it is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab_utils.arguments import require_number, require_one_of, require_whole
from lab_utils.errors import InvalidInput

BALANCERS = ("random", "round_robin", "power_of_two", "least_outstanding")
"""How a client may choose among endpoints."""
_MAX_POOL = 10_000


@dataclass(frozen=True)
class Retries:
    """Ask again after a failure.

    A failure that asking again cannot mend (http_4xx other than 429) is not asked again. With a
    failover list, an attempt is one walk along the list.

    Attributes:
        attempts: How often a request is tried at most, the first time included.
        backoff_s: Wait before the first retry, in seconds; each later one waits `factor` as long.
        factor: See backoff_s.
        max_backoff_s: The wait never grows beyond this.
        jitter: Whether the wait is drawn evenly from 0 to that, so that clients do not come back
            in step.
        budget: Retries as a share of requests: 0.1 lets one request in ten be tried again, with up
            to ten retries saved up; None: no such limit.

    Source:
        Full jitter: M. Brooker (2015), Exponential Backoff and Jitter, AWS Architecture Blog.
        Budget as a token bucket: Google (2016), Site Reliability Engineering, ch. 21.
    """

    attempts: int = 3
    backoff_s: float = 0.0
    factor: float = 2.0
    max_backoff_s: float = 10.0
    jitter: bool = True
    budget: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        require_whole("attempts", self.attempts, 1, 100)
        for name in ("backoff_s", "max_backoff_s"):
            value = getattr(self, name)
            require_number(name, value, "seconds", f"{name}=0.1", at_most=3600.0, zero=True)
        require_number("factor", self.factor, "a factor", "factor=2", at_most=100.0)
        if self.budget is not None:
            wanted = "a share of the requests"
            require_number("budget", self.budget, wanted, "budget=0.1", at_most=100.0, zero=True)


@dataclass(frozen=True)
class Hedge:
    """Send the same request again when the answer is slow, and take the answer that comes first.

    Attributes:
        after_s: Wait this long for the first answer, in seconds.
        quantile: Instead: wait as long as this share of the answers so far has taken at most;
            0.95 costs 5 % more requests. Nothing is hedged before `learn` answers have come.
        learn: See quantile.

    Source:
        J. Dean, L. A. Barroso (2013), The Tail at Scale, CACM 56(2).
    """

    after_s: float | None = None
    quantile: float | None = None
    learn: int = 100

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        if (self.after_s is None) == (self.quantile is None):
            raise InvalidInput(
                f"Hedge has after_s {self.after_s!r} and quantile {self.quantile!r}: want one of "
                "them, such as Hedge(after_s=0.06) or Hedge(quantile=0.95)"
            )
        if self.after_s is not None:
            require_number("after_s", self.after_s, "seconds", "after_s=0.06", at_most=3600.0)
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise InvalidInput(
                f"quantile is {self.quantile!r}: want a share between 0 and 1, such as 0.95"
            )
        require_whole("learn", self.learn, 1, 100_000)


@dataclass(frozen=True)
class Policy:
    """How a run's client behaves.

    Attributes:
        timeout_s: An attempt without a whole answer after this has failed.
        keep_alive: Whether connections are used again: False opens one per attempt, True keeps as
            many as were ever needed, a number n keeps n to each address and uses them in turn. With
            n, an attempt waits for a free connection, and the wait is part of its time.
        service_ms: Service time asked of the worker; None leaves it to the worker.
        retries: What happens after a failure; None: it stays a failure.
        hedge: What happens when an answer is slow; None: wait.
        balance: One of BALANCERS: how an endpoint is chosen for each attempt, where there are
            several to choose from; "": the Service chooses (kube-proxy, per connection).
    """

    timeout_s: float = 5.0
    keep_alive: bool | int = False
    service_ms: float | None = None
    retries: Retries | None = None
    hedge: Hedge | None = None
    balance: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        require_number("timeout_s", self.timeout_s, "seconds", "timeout_s=5", at_most=3600.0)
        if not isinstance(self.keep_alive, bool):
            require_whole("keep_alive", self.keep_alive, 1, _MAX_POOL)
        if self.service_ms is not None:
            unit, example = "milliseconds", "service_ms=100"
            require_number("service_ms", self.service_ms, unit, example, at_most=3.6e6, zero=True)
        _require_kind("retries", self.retries, Retries, "Retries(3)")
        _require_kind("hedge", self.hedge, Hedge, "Hedge(after_s=0.06)")
        if self.balance:
            require_one_of("balance", self.balance, BALANCERS)

    @classmethod
    def recall(cls, raw: Mapping[str, Any]) -> "Policy":
        """Make the policy that dataclasses.asdict() has taken apart."""
        parts: dict[str, _Part] = {"retries": Retries, "hedge": Hedge}
        made = {name: part(**raw[name]) for name, part in parts.items() if raw.get(name)}
        return cls(**dict(raw) | made)


_Part: TypeAlias = type[Retries] | type[Hedge]


def _require_kind(name: str, value: object, kind: _Part, example: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidInput(f"{name} is {value!r}: want {example} or None")
