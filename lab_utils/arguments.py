"""Checks of arguments: what cannot be used is refused by name, with what was seen and wanted."""

import math
from collections.abc import Collection
from numbers import Real

from lab_utils.errors import InvalidInput


def require_number(
    name: str,
    value: object,
    unit: str,
    example: str,
    *,
    at_most: float = math.inf,
    zero: bool = False,
) -> float:
    """Check a finite number above 0 (or from 0 on) and give it as a float.

    Args:
        name: Of the argument, for the message.
        value: What was given.
        unit: What it counts: "requests per second".
        example: How it may look: "rate_rps=20".
        at_most: Largest value that can be used.
        zero: Whether 0 can be used.

    Raises:
        InvalidInput: It is no such number.
    """
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    enough = number >= 0 if zero else number > 0
    if not (enough and number <= at_most and math.isfinite(number)):  # nan compares as false
        limit = f" and at most {at_most:g}" if math.isfinite(at_most) else ""
        raise InvalidInput(
            f"{name} is {value!r}: want {unit} {'from 0 on' if zero else 'above 0'}{limit}, "
            f"such as {example}"
        )
    return number


def require_whole(name: str, value: object, at_least: int, at_most: int) -> int:
    """Check a whole number.

    Raises:
        InvalidInput: It is none, or out of bounds.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        raise InvalidInput(f"{name} is {value!r}: want a whole number from {at_least} to {at_most}")
    return value


def require_one_of(name: str, value: object, choices: Collection[str]) -> str:
    """Check one of a few words.

    Raises:
        InvalidInput: It is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        wanted = ", ".join(repr(choice) for choice in choices)
        raise InvalidInput(f"{name} is {value!r}: want one of {wanted}")
    return value
