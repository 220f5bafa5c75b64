"""The model: how long an inference takes.

All of it is pure functions, so that replicas agree: the time depends on settings, seed and request
index. Never sleeps and never reads a clock; `device.py` spends the time.
"""

import csv
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.jobs import Pace, Work
from worker.settings import MAX_SERVICE_MS, InvalidSettings, Settings

Draw = Callable[[float, float], float]
"""Turns two numbers between 0 and 1 into a service time in seconds."""


def _uniforms(seed: int, index: int) -> tuple[float, float]:
    """Draw two numbers strictly between 0 and 1.

    A hash rather than a generator: any index can be drawn alone, in any order, on any replica, in
    a microsecond, where seeding the standard library's generator takes ten.
    """
    digest = hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=16).digest()
    first, second = int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
    return ((first >> 12) + 0.5) / 2**52, ((second >> 12) + 0.5) / 2**52


def _const(mean_s: float) -> Draw:
    return lambda _u, _v: mean_s


def _exponential(mean_s: float) -> Draw:
    return lambda u, _: -mean_s * math.log(u)


def _lognormal(mean_s: float, cv: float) -> Draw:
    variance = math.log1p(cv * cv)

    def draw(u: float, v: float) -> float:
        normal = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)  # Box and Muller, 1958
        return mean_s * math.exp(math.sqrt(variance) * normal - variance / 2)

    return draw


def _bimodal(mean_s: float, share: float, factor: float) -> Draw:
    fast_s = mean_s / (1 + share * (factor - 1))
    return lambda u, _: fast_s * factor if u < share else fast_s


def _sampler(settings: Settings, mean_s: float) -> Draw:
    match settings.distribution:
        case "exponential":
            return _exponential(mean_s)
        case "lognormal":
            return _lognormal(mean_s, settings.cv)
        case "bimodal":
            return _bimodal(mean_s, settings.slow_share, settings.slow_factor)
        case _:
            return _const(mean_s)


@dataclass(frozen=True)
class ServiceTime:
    """A distribution of service times, drawn by request index.

    Attributes:
        mean_s: Mean, in seconds.
        seed: Same seed, same sequence.
        sample: Makes a time of two random numbers.
        trace_s: Times to replay, over and over, instead.
    """

    mean_s: float
    seed: int
    sample: Draw
    trace_s: Sequence[float] = ()

    @classmethod
    def of(cls, settings: Settings) -> "ServiceTime":
        """Make the distribution that the settings ask for.

        Raises:
            InvalidSettings: The trace cannot be read.
        """
        mean_s = settings.service_ms / 1000
        if settings.distribution == "trace":
            trace_s = read_trace(settings.trace)
            mean_s = math.fsum(trace_s) / len(trace_s)
            return cls(mean_s, settings.seed, _const(mean_s), trace_s)
        return cls(mean_s, settings.seed, _sampler(settings, mean_s))

    def draw(self, index: int) -> float:
        """Give the service time of request number `index`, in seconds."""
        if self.trace_s:
            return self.trace_s[index % len(self.trace_s)]
        return self.sample(*_uniforms(self.seed, index))


def read_trace(path: str) -> list[float]:
    """Read service times from the column `service_ms` of a CSV file.

    Returns:
        Seconds, in the order of the file; at least one.

    Raises:
        InvalidSettings: There is no such file, no such column, or no time in it.
    """
    try:
        with Path(path).open(newline="") as file:
            times_ms = [float(row["service_ms"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError) as exc:
        reason = f"no column {exc}" if isinstance(exc, KeyError) else exc
        raise InvalidSettings(f"Cannot use WORKER_TRACE={path!r}: {reason}.") from exc
    if not times_ms or not all(0 <= one <= MAX_SERVICE_MS for one in times_ms):
        raise InvalidSettings(
            f"Cannot use WORKER_TRACE={path!r}: wanted at least one service_ms, each from "
            f"0 to {MAX_SERVICE_MS:g}."
        )
    return [one / 1000 for one in times_ms]


@dataclass(frozen=True)
class TimeModel:
    """How long work takes: alone, in a batch, and beside other work.

    Attributes:
        settings: What the times are made of.
        times: The distribution that they vary by.
    """

    settings: Settings
    times: ServiceTime

    @classmethod
    def of(cls, settings: Settings) -> "TimeModel":
        """Make the model that the settings ask for."""
        return cls(settings, ServiceTime.of(settings))

    def pace(self, work: Work, index: int) -> Pace:
        """Say how long work takes alone.

        A text's first token comes after prefill_ms + prompt_token_ms for each token of the prompt,
        each other one token_ms later; the drawn time over its mean stretches all of it.
        """
        service_s = self.times.draw(index) if work.service_s is None else work.service_s
        if not work.output_tokens:
            return Pace(service_s)
        text = self._text(work)
        if work.service_s is not None:
            return text.stretched(service_s / text.service_s) if text.service_s else text
        return text.stretched(service_s / self.times.mean_s) if self.times.mean_s else text

    def _text(self, work: Work) -> Pace:
        first_ms = self.settings.prefill_ms + self.settings.prompt_token_ms * work.prompt_tokens
        others_ms = (work.output_tokens - 1) * self.settings.token_ms
        return Pace((first_ms + others_ms) / 1000, first_ms / 1000, self.settings.token_ms / 1000)

    def batch_s(self, alone_s: Sequence[float]) -> float:
        """Say how long a batch takes: T(b) = a + m b, where a is batch_base_ms and a + m one alone.

        Jobs of unequal length add what each takes beyond a.
        """
        base_s = self.settings.batch_base_ms / 1000
        shared_s = max(min(base_s, one_s) for one_s in alone_s)
        return shared_s + math.fsum(one_s - min(base_s, one_s) for one_s in alone_s)

    def load(self, others: int) -> float:
        """Say by what a start beside `others` busy slots is slower; load_factor if all are busy.

        Linear in between, as in llm-d-inference-sim's time-factor-under-load.
        """
        if not others:
            return 1.0
        return 1 + (self.settings.load_factor - 1) * min(1.0, others / (self.settings.slots - 1))
