"""What a round of the sweep does: who is struck, how, in which step, and when."""

import random
from dataclasses import dataclass

from tests.sweep.lesson import STEPS

TYPICAL_S = {"up": 2.5, "build": 0.5, "load": 0.3, "apply": 2.0, "run": 1.5, "down": 0.8}
"""How long each step lasts on an idle machine: strikes are spread over it."""
CALLERS = ("kernel", "terminal")
"""Who runs the lesson: `terminal` at a terminal of its own, which may be closed."""
DAEMONS = ("guard", "control plane", "kubelet", "worker")
BLOWS = ("SIGTERM", "SIGKILL", "SIGSTOP")


@dataclass(frozen=True)
class Plan:
    """One round. A daemon that is not there at that moment is waited for."""

    number: int
    step: str
    victim: str
    blow: str
    after_s: float
    """From the beginning of the step."""
    lasts_s: float
    """For how long a victim is stopped, or the disk full."""

    def __str__(self) -> str:
        return f"{self.number}: {self.victim} {self.blow} {self.after_s:.2f} s into {self.step}"


def make_plan(seed: int, number: int) -> Plan:
    """Choose a round; the same seed and number give the same."""
    rng = random.Random(f"{seed}/{number}")
    victim = rng.choice((*CALLERS, *DAEMONS, "disk"))
    blow = {"disk": "full"}.get(victim, rng.choice(BLOWS))
    if victim == "terminal":
        blow = "closed"
    step = rng.choice(STEPS[3:] if victim == "worker" else STEPS)
    after_s, lasts_s = rng.random() * TYPICAL_S[step], rng.uniform(0.2, 2.0)
    return Plan(number, step, victim, blow, after_s, lasts_s)
