"""The verdict on a claim: PASS, FAIL or UNKNOWN, with what was seen, printed and kept.

The line ends with what was measured, in parentheses, so that a notebook's test can compare the
verdict on every machine and leave the number out.
"""

import math
from dataclasses import dataclass
from typing import Any

from lab_utils.course.claims import Claim, Outcome, Undecided, find_claim
from lab_utils.course.confounds import find_confound
from lab_utils.course.records import Records
from lab_utils.errors import LabError


class CheckFailed(LabError):
    """What was measured contradicts the claim; the message says both."""

    def _render_traceback_(self) -> list[str]:
        """Show the verdict as it stands in the learner's file, without a line of code."""
        return [str(self)]


@dataclass(frozen=True)
class Verdict:
    """What was decided about one claim.

    Attributes:
        number: Of the claim.
        text: The claim.
        outcome: PASS, FAIL or UNKNOWN.
        why: What was seen and wanted, or why nothing could be decided.
        value: What a prediction is compared with; None if there is nothing.
    """

    number: str
    text: str
    outcome: Outcome
    why: str
    value: float | None = None

    def __str__(self) -> str:
        return f"{self.outcome} {self.number}: {self.text} ({self.why})"


def judge(claim: Claim, *data: Any, **named: Any) -> Verdict:
    """Decide a claim on what was measured; pure.

    What a spoiled run seems to contradict stays open: PASS and FAIL are about the server.
    """
    try:
        found = claim.decide(*data, **named)
    except Undecided as exc:
        return Verdict(claim.number, claim.text, "UNKNOWN", str(exc))
    outcome: Outcome = "PASS" if found.holds else "FAIL"
    why = f"seen {found.seen}, wanted {found.wanted}"
    if not found.holds and (confound := find_confound([*data, *named.values()])):
        return Verdict(claim.number, claim.text, "UNKNOWN", f"{why}, but {confound}")
    value = found.value if found.value is not None and math.isfinite(found.value) else None
    return Verdict(claim.number, claim.text, outcome, why, value)


def check(records: Records, number: str, *data: Any, **named: Any) -> None:
    """Decide a claim, print the verdict and keep it in the learner's file.

    Args:
        records: The learner's file.
        number: Of the claim, such as "07.2".
        data: What the claim is about: runs, tables or numbers.
        named: The same, by name.

    Raises:
        CheckFailed: The measurement contradicts the claim.
        InvalidInput: There is no such claim.
    """
    claim = find_claim(number)
    verdict = judge(claim, *data, **named)
    records.append("verdict", number, outcome=verdict.outcome, why=verdict.why, value=verdict.value)
    if verdict.outcome == "FAIL":
        raise CheckFailed(str(verdict))
    print(verdict)
    print(_compare(claim, verdict, records), end="")


def _compare(claim: Claim, verdict: Verdict, records: Records) -> str:
    """Say how good the learner's prediction was; nothing where there is none."""
    prediction = records.latest("prediction").get(claim.number)
    if claim.question is None or prediction is None or verdict.value is None:
        return ""
    factor = claim.question.off_by(prediction["value"], verdict.value)
    return f"You predicted {prediction['value']:g}, off by a factor of {factor:.2f}.\n"
