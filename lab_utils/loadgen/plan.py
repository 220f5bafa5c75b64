"""What the load generator is told: everything is decided before the first request.

A plan is one line of JSON. Floats survive JSON exactly, so a schedule is reproduced bit for bit.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lab_utils.arguments import require_whole
from lab_utils.loadgen.policy import Policy

INFER_PATH = "/v2/models/clock/infer"
"""Route of the Open Inference Protocol that every request of a plan is sent to."""


@dataclass(frozen=True)
class Plan:
    """What to send and when.

    An open loop has scheduled_s; a closed loop has users and count instead.

    Attributes:
        targets: Whom to ask, in the order of a failover list; each is a group of base URLs among
            which policy.balance chooses.
        policy: How the client behaves.
        seed: What every random choice of the client follows from.
        scheduled_s: When requests are due, in seconds on the run's clock.
        users: How many ask at the same time.
        count: How many requests they send, all together.
        think_s: Mean pause of a user between an answer and its next request, exponential.
        first, step: The k-th request of this plan has the request_id first + k step.
        start_unix_s: Wall time of 0 s, for several generators that are to start together; None:
            as soon as possible.
        journal: File that every line told is also written to; None: none.
        about: What the run will say about itself: it is only handed on.
    """

    targets: tuple[tuple[str, ...], ...]
    policy: Policy = field(default_factory=Policy)
    seed: int = 0
    scheduled_s: tuple[float, ...] = ()
    users: int = 0
    count: int = 0
    think_s: float = 0.0
    first: int = 0
    step: int = 1
    start_unix_s: float | None = None
    journal: str | None = None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of requests, if nothing ends the run early."""
        return self.count if self.users else len(self.scheduled_s)

    def share(self, index: int, of: int) -> "Plan":
        """Give the part of one of several generators: all parts together are this plan.

        Args:
            index: Which part, from 0 on.
            of: How many there are.

        Raises:
            InvalidInput: There is no such part.
        """
        require_whole("of", of, 1, 10_000)
        require_whole("index", index, 0, of - 1)
        return replace(
            self,
            seed=self.seed + index,
            scheduled_s=self.scheduled_s[index::of],
            users=len(range(index, self.users, of)),
            count=len(range(index, self.count, of)),
            first=self.first + index * self.step,
            step=self.step * of,
        )

    def to_json(self) -> str:
        """Write as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """Read what to_json() wrote."""
        raw = json.loads(text)
        raw["targets"] = tuple(tuple(urls) for urls in raw["targets"])
        raw["scheduled_s"] = tuple(raw["scheduled_s"])
        raw["policy"] = Policy.recall(raw["policy"])
        return cls(**raw)
