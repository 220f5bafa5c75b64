"""Faults that can be switched on and off while the worker runs.

Hides which request is hit. Never touches a request: `injection.py` does what is decided here, and
the engine, the lifecycle and the leak ask for what concerns them.
"""

import asyncio
import hashlib
import itertools
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from worker.settings import Factor

Kind = Literal[
    "fail", "slow", "hang", "drop", "garbage", "crash", "stall", "not_ready", "ignore_sigterm",
    "leak",
]  # fmt: skip
STATES = ("stall", "not_ready", "ignore_sigterm", "leak")
"""Kinds that are a state of the process; the others hit requests."""

Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Fault(BaseModel):
    """What to inject, and into which requests from now on: all of them unless one rule is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    next: Count | None = Field(default=None, description="The next n requests.")
    every: Count | None = Field(default=None, description="Every k-th request.")
    at: tuple[Count, ...] | None = Field(default=None, description="Requests of these numbers.")
    rate: float | None = Field(default=None, gt=0, le=1, description="This share, by the seed.")
    seed: int = Field(default=0, description="Same seed, same requests hit by `rate`.")
    status: int = Field(default=500, ge=400, le=599, description="Status of `fail`.")
    factor: Factor = Field(default=10.0, description="`slow` takes this many times as long.")
    exit_code: int = Field(default=1, ge=0, le=255, description="Exit code of `crash`.")
    mib_per_s: float = Field(default=1.0, gt=0, le=1024, description="Speed of `leak`.")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = [name for name in ("next", "every", "at", "rate") if getattr(self, name)]
        if len(rules) > 1:
            raise ValueError(f"wanted one of next, every, at and rate, got {', '.join(rules)}")
        if rules and self.kind in STATES:
            raise ValueError(f"{self.kind} is a state of the process, so {rules[0]} has no meaning")
        return self

    @property
    def hits_all(self) -> bool:
        """Whether no rule chooses requests."""
        return all(rule is None for rule in (self.next, self.every, self.at, self.rate))

    def hits(self, number: int) -> bool:
        """Tell whether request `number`, counted from 1 since the injection, is hit."""
        if self.next is not None:
            return number <= self.next
        if self.every is not None:
            return number % self.every == 0
        if self.at is not None:
            return number in self.at
        return self.rate is None or _uniform(self.seed, number) < self.rate


def _uniform(seed: int, number: int) -> float:
    digest = hashlib.blake2b(f"fault/{seed}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


class Injected:
    """A fault that is on.

    Attributes:
        fault: What and whom it hits.
        seen: Requests since it is on.
        hit: Those of them that it has hit.
        undone: Set when it is switched off.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = self.hit = 0
        self.undone = asyncio.Event()

    def decide(self) -> bool:
        """Count one more request and tell whether it is hit."""
        self.seen += 1
        hit = self.fault.hits(self.seen)
        self.hit += hit
        return hit


class Faults:
    """The faults of one worker, by number in the order of their injection."""

    def __init__(self) -> None:
        self._on: dict[int, Injected] = {}
        self._numbers = itertools.count(1)

    def inject(self, fault: Fault) -> int:
        """Switch a fault on and give its number."""
        number = next(self._numbers)
        self._on[number] = Injected(fault)
        return number

    def undo(self, number: int | None = None) -> list[int]:
        """Switch one fault off, or all of them; give the numbers of those that were on."""
        undone = [one for one in self._on if number in (None, one)]
        for one in undone:
            self._on.pop(one).undone.set()
        return undone

    def list(self) -> dict[int, Injected]:
        """Give the faults that are on."""
        return dict(self._on)

    def active(self, kind: Kind) -> Injected | None:
        """Give the first fault of a kind that is on for everything, if there is one."""
        return next(
            (one for one in self._on.values() if one.fault.kind == kind and one.fault.hits_all),
            None,
        )

    def next(self) -> Injected | None:
        """Decide about one request: the fault that hits it, or None.

        Every fault counts every request, so that one does not shift another's rule; the first that
        hits wins.
        """
        hits = [
            one
            for one in self._on.values()
            if one.fault.kind not in (*STATES, "slow") and one.decide()
        ]
        return hits[0] if hits else None

    def stalled(self) -> bool:
        """Tell whether nothing may start."""
        return self.active("stall") is not None

    def slowdown(self) -> float:
        """Decide about one job: by what its time is stretched."""
        factor = 1.0
        for one in self._on.values():
            if one.fault.kind == "slow" and one.decide():
                factor *= one.fault.factor
        return factor
