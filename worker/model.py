"""The model: how long an inference takes and what it answers.

Both are pure functions, so that replicas agree: the time depends on seed and request index, the
answer on the inputs. Never sleeps and never reads a clock; `device.py` spends the time.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

from worker.settings import Settings


def _uniforms(seed: int, index: int) -> tuple[float, float]:
    """Draw two numbers strictly between 0 and 1.

    A hash rather than a generator: any index can be drawn alone, in any order, on any replica, in
    a microsecond, where seeding the standard library's generator takes ten.
    """
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=16).digest()
    first, second = int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
    return ((first >> 12) + 0.5) / 2**52, ((second >> 12) + 0.5) / 2**52


def _const(mean_s: float, _cv: float, _u: float, _v: float) -> float:
    return mean_s


def _exponential(mean_s: float, _cv: float, u: float, _v: float) -> float:
    return -mean_s * math.log(u)


def _lognormal(mean_s: float, cv: float, u: float, v: float) -> float:
    normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)  # Box and Muller, 1958
    variance = math.log1p(cv * cv)
    return mean_s * math.exp(math.sqrt(variance) * normal - variance / 2)


_DISTRIBUTIONS: dict[str, Callable[[float, float, float, float], float]] = {
    "const": _const,
    "exponential": _exponential,
    "lognormal": _lognormal,
}


@dataclass(frozen=True)
class ServiceTime:
    """A distribution of service times, drawn by request index.

    Attributes:
        mean_s: Mean, in seconds.
        distribution: "const", "exponential" or "lognormal".
        cv: Standard deviation over mean; used by "lognormal" only.
        seed: Same seed, same sequence.
    """

    mean_s: float
    distribution: str = "const"
    cv: float = 1.0
    seed: int = 0

    @classmethod
    def of(cls, settings: Settings) -> "ServiceTime":
        """Make the distribution that the settings ask for."""
        return cls(settings.service_ms / 1000, settings.distribution, settings.cv, settings.seed)

    def draw(self, index: int) -> float:
        """Give the service time of request number `index`, in seconds."""
        u, v = _uniforms(self.seed, index)
        return _DISTRIBUTIONS[self.distribution](self.mean_s, self.cv, u, v)


def predict(data: list[float]) -> list[float]:
    """Answer a tensor: the clock's model is the identity, so any client can check an answer."""
    return data
