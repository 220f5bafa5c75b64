"""The claims of the course: what each experiment asks the learner, and what decides it.

A claim is one function over what the notebook has measured, found by its number. It never prints,
never draws and never touches the cluster, so that each can be tested with a run that must fail it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

from lab_utils.errors import InvalidInput

Outcome = Literal["PASS", "FAIL", "UNKNOWN"]


class Undecided(Exception):
    """Raised by a claim that the data can neither support nor refute; says why."""


@dataclass(frozen=True)
class Finding:
    """What a claim has found.

    Attributes:
        holds: Whether it is true of this run.
        seen: What was measured, with its unit.
        wanted: What would have been right, with its unit.
        value: The measured number that a prediction is compared with; None if there is none.
    """

    holds: bool
    seen: str
    wanted: str
    value: float | None = None


@dataclass(frozen=True)
class Question:
    """What the learner is asked before the run.

    Attributes:
        text: What to predict, with its unit: "requests lost".
        floor: The smallest difference that matters, in the same unit; keeps a logarithm finite.
        choices: The answers there are, where the answer is no number.
    """

    text: str
    floor: float
    choices: tuple[str, ...] = ()

    def off_by(self, predicted: float, measured: float) -> float:
        """Give the factor by which a prediction is off: 1 is exact, 2 is twice or half.

        Source:
            The logarithmic error, ours to shift by the floor: predicting 1 where 0 is measured
            is no infinite mistake.
        """
        return math.exp(abs(math.log((predicted + self.floor) / (measured + self.floor))))


@dataclass(frozen=True)
class Claim:
    """One numbered claim: notebook, what it says, what is asked before, how it is decided."""

    number: str
    text: str
    question: Question | None
    decide: Callable[..., Finding]


_CLAIMS: dict[str, Claim] = {}


def claim(
    number: str,
    text: str,
    *,
    ask: str = "",
    floor: float = 1.0,
    choices: tuple[str, ...] = (),
) -> Callable[[Callable[..., Finding]], Callable[..., Finding]]:
    """Register the function that decides a claim.

    Args:
        number: Notebook and place in it: "07.2".
        text: One sentence, in the present tense, without a measured number.
        ask: What the learner predicts, with its unit; "" if nothing.
        floor: The smallest difference of the prediction that matters.
        choices: The answers there are, where the answer is no number.
    """
    question = Question(ask, floor, choices) if ask else None

    def register(decide: Callable[..., Finding]) -> Callable[..., Finding]:
        _CLAIMS[number] = Claim(number, text, question, decide)
        return decide

    return register


@cache
def all_claims() -> dict[str, Claim]:
    """Give every claim of the course by its number, in the course's order."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {number: _CLAIMS[number] for number in sorted(_CLAIMS, key=_place)}


def _place(number: str) -> tuple[int, int]:
    """Give notebook and place of a number, so that 07.10 comes after 07.9."""
    notebook, _, place = number.partition(".")
    return int(notebook), int(place)


def find_claim(number: str) -> Claim:
    """Find a claim by its number.

    Raises:
        InvalidInput: There is none; names those of the notebook.
    """
    claims = all_claims()
    if number in claims:
        return claims[number]
    notebook = str(number).partition(".")[0]
    near = [known for known in claims if known.startswith(f"{notebook}.")] or list(claims)
    raise InvalidInput(f"There is no check {number!r}: want one of {', '.join(near)}")


def within(value: float, low: float, high: float, unit: str, digits: int = 2) -> Finding:
    """Find whether a number lies in its range, ends included."""
    return Finding(
        low <= value <= high,
        f"{value:.{digits}f} {unit}",
        f"{low:.{digits}f} to {high:.{digits}f} {unit}",
        value,
    )


def at_most(value: float, high: float, unit: str, digits: int = 2) -> Finding:
    """Find whether a number is at most another."""
    seen, wanted = f"{value:.{digits}f} {unit}", f"at most {high:.{digits}f} {unit}"
    return Finding(value <= high, seen, wanted, value)


def equal(value: object, wanted: object) -> Finding:
    """Find whether two things are the same."""
    return Finding(value == wanted, str(value), str(wanted))


def require(condition: bool, why: str) -> None:
    """Leave a claim undecided unless the data are fit to decide it.

    Raises:
        Undecided: They are not.
    """
    if not condition:
        raise Undecided(why)
