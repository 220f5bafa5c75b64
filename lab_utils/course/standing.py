"""Where a learner stands, and where a class does: tables of predictions and verdicts."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lab_utils.course.claims import Claim, all_claims
from lab_utils.course.records import FILE, Record, Records, read_records
from lab_utils.errors import InvalidInput


def progress(records: Records) -> pd.DataFrame:
    """Show where a learner stands, one row per check of the course.

    Returns:
        check, claim, question, predicted, measured, off_by (a factor; 1 is exact), verdict ("" as
        long as the check was not run).
    """
    return _standing(records.read())


def collect(folder: Path) -> pd.DataFrame:
    """Pool the learner's files of a class.

    Args:
        folder: With one file per learner, at any depth, whatever they are called.

    Returns:
        The rows of `progress` for each learner, with the random number that stands for them.

    Raises:
        InvalidInput: There is no learner's file below the folder.
    """
    learners: dict[str, list[Record]] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for record in read_records(path):
            learners.setdefault(record["learner"], []).append(record)
    if not learners:
        raise InvalidInput(f"{folder} holds no learner's file: want one {FILE} per learner")
    tables = [
        _standing(sorted(records, key=_time)).assign(learner=learner)
        for learner, records in learners.items()
    ]
    return pd.concat(tables, ignore_index=True)


def find_stuck(pooled: pd.DataFrame) -> pd.DataFrame:
    """Show how far a class has come, one row per check that somebody has run.

    Args:
        pooled: As `collect` gives it.

    Returns:
        check, claim, passed, failed, unknown (learners), and median_off_by of their predictions.
    """
    ran = pooled[pooled["verdict"] != ""]
    counts = ran.groupby(["check", "claim", "verdict"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=["PASS", "FAIL", "UNKNOWN"], fill_value=0)
    counts.columns = pd.Index(["passed", "failed", "unknown"])
    medians = ran.groupby(["check", "claim"])["off_by"].median().rename("median_off_by")
    return counts.join(medians).reset_index()


def _time(record: Record) -> str:
    return str(record["at"])


def _standing(records: Iterable[Record]) -> pd.DataFrame:
    newest = {(record["kind"], record["check"]): record for record in records}
    rows = []
    for number, claim in all_claims().items():
        predicted = newest.get(("prediction", number), {}).get("value")
        verdict = newest.get(("verdict", number), {})
        measured = verdict.get("value")
        rows.append(
            {
                "check": number,
                "claim": claim.text,
                "question": claim.question.text if claim.question else "",
                "predicted": predicted,
                "measured": measured,
                "off_by": _off_by(claim, predicted, measured),
                "verdict": verdict.get("outcome", ""),
            }
        )
    table = pd.DataFrame(rows)
    numbers = ["predicted", "measured", "off_by"]
    return table.astype(dict.fromkeys(numbers, "float64"))


def _off_by(claim: Claim, predicted: float | None, measured: float | None) -> float | None:
    if claim.question is None or predicted is None or measured is None:
        return None
    return claim.question.off_by(predicted, measured)
