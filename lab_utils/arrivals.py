"""When requests are due. A schedule is fixed before the run and follows from its seed alone.

fire(rate_rps=20, ..., arrivals="poisson")           independent users
fire(rate_rps=20, ..., arrivals="constant")          a metronome
fire(rate_rps=20, ..., arrivals=Steps((1, 2, 4)))    20, 40, then 80 a second
fire(rate_rps=20, ..., arrivals=Ramp(0, 2))          from 0 to 40 a second
fire(rate_rps=20, ..., arrivals=Sine(0.5, period_s=20))
fire(rate_rps=20, ..., arrivals=Bursts((1, 5)))      20 pages a second, of 1 and 5 parts in turn
fire(arrivals=Trace("schedule.csv"))                 at the times in a file
"""

import csv
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lab_utils.arguments import require_number, require_one_of, require_whole
from lab_utils.errors import InvalidInput

Schedule: TypeAlias = NDArray[np.float64]
"""Rising times in seconds since the start of the run."""
GAPS = ("poisson", "constant")
_LARGEST_BURST = 1_000
_CURVE_POINTS = 10_001  # a curve is inverted on this grid: an error far below a microsecond


@dataclass(frozen=True)
class Shape(ABC):
    """How the rate changes over a run, as a factor of `rate_rps`.

    Attributes:
        gaps: "poisson": independent users at that rate; "constant": evenly spaced at that rate.
    """

    gaps: str = field(default="poisson", kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        require_one_of("gaps", self.gaps, GAPS)

    @abstractmethod
    def cumulate(self, t_s: Schedule, duration_s: float) -> Schedule:
        """Integrate the factor from 0 to each of t_s."""

    def grid(self, duration_s: float) -> Schedule:
        """Give the times between which cumulate() is taken for a straight line."""
        return np.linspace(0.0, duration_s, _CURVE_POINTS)


@dataclass(frozen=True)
class Flat(Shape):
    """The same rate all the time: what "poisson" and "constant" stand for."""

    def cumulate(self, t_s: Schedule, duration_s: float) -> Schedule:
        """Give the times themselves: the factor is 1."""
        return t_s

    def grid(self, duration_s: float) -> Schedule:
        """Give the two ends."""
        return np.array([0.0, duration_s])


@dataclass(frozen=True)
class Steps(Shape):
    """One rate after the other, each for the same part of the run.

    Attributes:
        factors: Of each step: (1, 2, 4) with rate_rps=20 is 20, 40, then 80 a second.
    """

    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        _require_factors("factors", self.factors)
        object.__setattr__(self, "factors", tuple(float(factor) for factor in self.factors))

    def cumulate(self, t_s: Schedule, duration_s: float) -> Schedule:
        """Add up the steps so far."""
        step_s = duration_s / len(self.factors)
        return np.interp(t_s, self.grid(duration_s), np.cumsum([0.0, *self.factors]) * step_s)

    def grid(self, duration_s: float) -> Schedule:
        """Give where steps begin and end."""
        return np.linspace(0.0, duration_s, len(self.factors) + 1)


@dataclass(frozen=True)
class Ramp(Shape):
    """A rate that changes evenly from the beginning to the end of the run.

    Attributes:
        start, end: The factors there.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        _require_factors("start and end", (self.start, self.end))

    def cumulate(self, t_s: Schedule, duration_s: float) -> Schedule:
        """Integrate the straight line."""
        return self.start * t_s + (self.end - self.start) * t_s**2 / (2 * duration_s)


@dataclass(frozen=True)
class Sine(Shape):
    """A rate that swings around rate_rps: a day of traffic in a minute.

    Attributes:
        amplitude: How far, as a share of rate_rps: at most 1.
        period_s: How long one swing takes, in seconds.
    """

    amplitude: float
    period_s: float

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        super().__post_init__()
        require_number("amplitude", self.amplitude, "a share", "amplitude=0.5", at_most=1.0)
        require_number("period_s", self.period_s, "seconds", "period_s=20")

    def cumulate(self, t_s: Schedule, duration_s: float) -> Schedule:
        """Integrate 1 + amplitude sin(2 pi t / period)."""
        turn_s = self.period_s / (2 * math.pi)
        return t_s + self.amplitude * turn_s * (1 - np.cos(t_s / turn_s))


@dataclass(frozen=True)
class Trace:
    """Arrivals as they were: a CSV file of times in seconds, rising, one a row.

    The times stand in the column `scheduled_s` (as in the saved schedule of a run), in `t_s`, or in
    the only column there is.

    Attributes:
        path: The file.
    """

    path: str | Path

    def read(self) -> Schedule:
        """Read the file.

        Raises:
            InvalidInput: It cannot be read, or a row is no time after the one before; says which.
        """
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                rows = list(csv.reader(file))
        except (OSError, UnicodeDecodeError) as exc:
            raise InvalidInput(f"The trace {self.path} cannot be read: {exc}") from exc
        column, header = self._column_of(rows[0] if rows else [])
        times = [self._time(row, column, n) for n, row in enumerate(rows[header:], header + 1)]
        for n, (before, after) in enumerate(pairwise(times), header + 2):
            if after < before:
                raise self._refused(n, after, f"a time from {before:g} on: times rise")
        return np.array(times)

    def _column_of(self, first: list[str]) -> tuple[int, int]:
        """Find the column of the times, and how many rows the header takes."""
        for name in ("scheduled_s", "t_s"):
            if name in first:
                return first.index(name), 1
        if len(first) != 1:
            raise self._refused(1, ",".join(first), "a column scheduled_s or t_s")
        return 0, 0 if _is_time(first[0]) else 1

    def _time(self, row: list[str], column: int, number: int) -> float:
        text = row[column] if column < len(row) else ""
        if not _is_time(text):
            raise self._refused(number, text, "a time in seconds from 0 on")
        return float(text)

    def _refused(self, line: int, seen: object, wanted: str) -> InvalidInput:
        return InvalidInput(f"The trace {self.path}, line {line}: {seen!r}: want {wanted}")


@dataclass(frozen=True)
class Bursts:
    """Pages that need several answers each: a page every 1 / rate_rps seconds, its parts together.

    Attributes:
        sizes: Parts of each page, in turn: (1, 5) is a page of one part, then one of five, then
            one of one.
        apart_s: From one part of a page to the next: a client needs a moment to send each.
    """

    sizes: tuple[int, ...]
    apart_s: float = 0.002

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        given = self.sizes if isinstance(self.sizes, tuple | list) else ()
        if not given:
            raise InvalidInput(f"sizes is {self.sizes!r}: want parts of pages, such as (1, 5, 20)")
        for size in given:
            require_whole("a size of Bursts", size, 1, _LARGEST_BURST)
        wanted = "seconds between parts"
        require_number("apart_s", self.apart_s, wanted, "apart_s=0.001", at_most=1.0, zero=True)
        object.__setattr__(self, "sizes", tuple(given))

    def schedule(self, rate_rps: float, duration_s: float) -> Schedule:
        """Give the times of all parts whose page begins before duration_s, page after page.

        Raises:
            InvalidInput: A page would begin before the parts of the one before it are sent.
        """
        if max(self.sizes) * self.apart_s > 1 / rate_rps:
            raise InvalidInput(
                f"rate_rps is {rate_rps:g} with pages of up to {max(self.sizes)} parts, "
                f"{self.apart_s:g} s apart: they would overlap. Lower rate_rps or apart_s"
            )
        sizes = np.resize(self.sizes, math.ceil(rate_rps * duration_s))
        part = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        times: Schedule = np.repeat(np.arange(len(sizes)) / rate_rps, sizes) + part * self.apart_s
        return times


Arrivals: TypeAlias = str | Shape | Bursts | Trace


def _is_time(text: str) -> bool:
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False


def _require_factors(name: str, factors: object) -> None:
    given = factors if isinstance(factors, tuple | list) else ()
    if not (any(given) and all(map(_is_factor, given))):
        raise InvalidInput(
            f"{name} is {factors!r}: want factors of rate_rps from 0 on, one of them above 0, "
            "such as Steps((1, 2, 4))"
        )


def _is_factor(factor: object) -> bool:
    return (
        isinstance(factor, int | float) and not isinstance(factor, bool) and _is_time(str(factor))
    )


def shape_of(arrivals: Arrivals) -> Shape | Bursts | Trace:
    """Give the shape that a word stands for, and a shape or a trace as it is.

    Raises:
        InvalidInput: There are no such arrivals.
    """
    if isinstance(arrivals, Shape | Bursts | Trace):
        return arrivals
    if arrivals in GAPS:
        return Flat(gaps=arrivals)
    raise InvalidInput(
        f"arrivals is {arrivals!r}: want one of 'poisson', 'constant', Steps((1, 2)), Ramp(0, 1), "
        "Sine(0.5, period_s=20), Bursts((1, 5)), Trace('times.csv')"
    )


def make_schedule(
    arrivals: Arrivals, rate_rps: float | None, duration_s: float | None, seed: int
) -> Schedule:
    """Make the schedule of an open-loop run.

    Args:
        arrivals: What shape_of() takes.
        rate_rps: Requests per second where the factor is 1; not looked at by a trace.
        duration_s: Every request is due before this, in seconds; None: all of a trace.
        seed: The same seed gives the same schedule, bit for bit.

    Raises:
        InvalidInput: There are no such arrivals, or the trace cannot be read.

    Source:
        Independent users make a Poisson process, whose gaps are exponential (MLPerf LoadGen's
        server scenario). A changing rate is the same process on a stretched time: the k-th request
        is due when the expected number of requests reaches the k-th arrival at rate 1 (Cinlar
        1975, Introduction to Stochastic Processes, section 4.7).
    """
    shape = shape_of(arrivals)
    if isinstance(shape, Trace):
        times = shape.read()
        return times if duration_s is None else times[times < duration_s]
    if rate_rps is None or duration_s is None:
        raise InvalidInput("rate_rps and duration_s are needed: only a Trace has times of its own")
    if isinstance(shape, Bursts):
        return shape.schedule(rate_rps, duration_s)
    grid = shape.grid(duration_s)
    expected = rate_rps * shape.cumulate(grid, duration_s)
    marks = _draw(expected[-1], seed) if shape.gaps == "poisson" else np.arange(expected[-1])
    times = np.interp(marks, expected, grid)
    return times[times < duration_s]


def _draw(total: float, seed: int) -> Schedule:
    """Draw the arrivals of a Poisson process of rate 1 up to total."""
    random = np.random.default_rng(seed)
    marks = np.empty(0)
    while not marks.size or marks[-1] < total:
        gaps = random.standard_exponential(int(total + 6 * total**0.5) + 16)
        marks = np.concatenate([marks, np.cumsum(gaps) + (marks[-1] if marks.size else 0.0)])
    return marks[marks < total]


def describe(arrivals: Arrivals) -> str | dict[str, Any]:
    """Write arrivals in JSON's own types, for a run's settings."""
    if isinstance(arrivals, str):
        return arrivals
    about = {key: value for key, value in asdict(arrivals).items() if key != "path"}
    named = {"path": Path(arrivals.path).name} if isinstance(arrivals, Trace) else {}
    return {"kind": type(arrivals).__name__} | about | named


def recall(described: str | dict[str, Any]) -> Shape | None:
    """Give the shape that describe() wrote; None for bursts and traces, which have none."""
    if isinstance(described, str):
        return Flat(gaps=described)
    about = dict(described)
    known: dict[str, type[Shape]] = {"Flat": Flat, "Steps": Steps, "Ramp": Ramp, "Sine": Sine}
    kind = known.get(about.pop("kind"))
    return None if kind is None else kind(**about)
