"""A claim at the end of an experiment: it holds, or the cell fails and says what was seen.

Prints no measured number, so that nbval can compare the line on every machine.
"""

from lab_utils.errors import LabError


class CheckFailed(LabError):
    """What was measured contradicts the claim; the message says both."""


def check(claim: str, holds: object, seen: object = "") -> None:
    """State a claim and whether the measurement bears it out.

    Args:
        claim: One sentence, in the present tense.
        holds: Whether it is true.
        seen: What was measured; shown only when the claim does not hold.

    Raises:
        CheckFailed: It does not hold.
    """
    if not holds:
        raise CheckFailed(f"FAIL: {claim}" + (f" Seen: {seen}." if seen != "" else ""))
    print(f"PASS: {claim}")
