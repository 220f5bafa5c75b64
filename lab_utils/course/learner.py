"""The learner of this process: what the notebooks call, on the file that the settings name."""

from functools import cache
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from lab_utils.course import predictions, verdicts
from lab_utils.course.records import Records
from lab_utils.settings import load_settings, results_root

if TYPE_CHECKING:
    import pandas as pd


@cache
def records() -> Records:
    """Give the learner's file, found when first asked for."""
    return Records(results_root(load_settings()))


def predict(number: str, value: float | str | EllipsisType | None = None) -> predictions.Prediction:
    """Ask for a prediction, or keep the one that is given: `lab.predict("07.2", 7)`.

    See `lab_utils.course.predictions.predict`.
    """
    return predictions.predict(records(), number, value)


def check(number: str, *data: Any, **named: Any) -> None:
    """Decide a claim on what was measured: `lab.check("07.2", run)`.

    See `lab_utils.course.verdicts.check`.
    """
    verdicts.check(records(), number, *data, **named)


def progress() -> "pd.DataFrame":
    """Show where you stand: every check with prediction, measurement and verdict.

    See `lab_utils.course.standing.progress`.
    """
    from lab_utils.course import standing

    return standing.progress(records())
