"""What a bench gives: measured figures beside their goals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True)
class Row:
    """One figure beside its goal; several rounds count by their median."""

    name: str
    rounds: tuple[float, ...]
    unit: str
    goal: str
    met: bool

    @property
    def value(self) -> float:
        return median(self.rounds)

    def __str__(self) -> str:
        verdict = "ok" if self.met else "MISSED"
        shown = f"{self.name:48} {self.value:9.3g} {self.unit:8} goal {self.goal:18} {verdict:6}"
        if len(self.rounds) == 1:
            return shown.rstrip()
        return f"{shown} ({', '.join(f'{value:.3g}' for value in self.rounds)})"


def at_most(name: str, seen: float | Sequence[float], unit: str, goal: float) -> Row:
    """Make a row whose figure is not to be larger than its goal."""
    rounds = _rounds(seen)
    return Row(name, rounds, unit, f"<= {goal:g}", median(rounds) <= goal)


def at_least(name: str, seen: float | Sequence[float], unit: str, goal: float) -> Row:
    """Make a row whose figure is not to be smaller than its goal."""
    rounds = _rounds(seen)
    return Row(name, rounds, unit, f">= {goal:g}", median(rounds) >= goal)


def close_to(
    name: str,
    seen: float | Sequence[float],
    unit: str,
    reference: float,
    *,
    share: float,
    slack: float = 0.0,
) -> Row:
    """Make a row that is to be within a share of a reference, or within slack if that is more."""
    rounds = _rounds(seen)
    allowed = max(share * abs(reference), slack)
    met = abs(median(rounds) - reference) <= allowed
    return Row(name, rounds, unit, f"{reference:g} +- {allowed:.2g}", met)


def timed(work: Callable[[], object]) -> float:
    """Give the seconds that something takes."""
    started_s = perf_counter()
    work()
    return perf_counter() - started_s


def _rounds(seen: float | Sequence[float]) -> tuple[float, ...]:
    return (float(seen),) if isinstance(seen, int | float) else tuple(map(float, seen))
