"""What the load generator is told: everything is decided before the first request.

The plan is JSON on the standard input of the process. Floats survive JSON exactly, so a schedule
is reproduced bit for bit.
"""

import json
from dataclasses import asdict, dataclass

INFER_PATH = "/v2/models/clock/infer"
"""Route of the Open Inference Protocol that every request of a plan is sent to."""


@dataclass(frozen=True)
class Plan:
    """What to send and when.

    An open loop has scheduled_s; a closed loop has users and count instead. Times in seconds on
    the run's clock. service_ms None leaves the service time to the worker. Each of urls is tried
    in order until one gives a success, with timeout_s for each.
    """

    urls: tuple[str, ...]
    timeout_s: float
    keep_alive: bool
    service_ms: float | None = None
    scheduled_s: tuple[float, ...] = ()
    users: int = 0
    count: int = 0

    @property
    def total(self) -> int:
        """Number of requests, if nothing ends the run early."""
        return self.count if self.users else len(self.scheduled_s)

    def to_json(self) -> str:
        """Write as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """Read what to_json() wrote."""
        raw = json.loads(text)
        return cls(**raw | {key: tuple(raw[key]) for key in ("urls", "scheduled_s")})
