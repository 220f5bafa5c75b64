"""A learner's predictions: asked before the run, kept with their time, never lost to a re-run."""

import math
import sys
from types import EllipsisType
from typing import Any

from lab_utils.bars import is_quiet
from lab_utils.course.claims import Question, find_claim
from lab_utils.course.records import Records
from lab_utils.errors import InvalidInput


class Prediction:
    """A learner's answer to one question: the newest, whenever it was given.

    Args:
        number: Of the check it belongs to.
        question: What is asked.
        records: Where answers are kept.
    """

    def __init__(self, number: str, question: Question, records: Records) -> None:
        self.number, self.question, self._records = number, question, records

    @property
    def value(self) -> float:
        """The number predicted; NaN as long as there is none."""
        record = self._records.latest("prediction").get(self.number)
        return math.nan if record is None else float(record["value"])

    @property
    def choice(self) -> str:
        """The answer chosen, where there are choices; "" as long as there is none."""
        chosen = self.value
        return "" if math.isnan(chosen) else self.question.choices[int(chosen) - 1]

    def record(self, value: float | str) -> None:
        """Keep an answer; an earlier one stays in the file. A choice is kept as its place, from 1.

        Raises:
            InvalidInput: It is not a finite number of at least 0, or none of the choices.
        """
        choices = self.question.choices
        kept = _place(self.number, choices, value) if choices else _number(self.number, value)
        self._records.append("prediction", self.number, value=kept)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        what = f"{self.number} {self.question.text}"
        if math.isnan(self.value):
            return f"{what}: UNKNOWN until you predict it"
        return f"{what}: you predict {self.choice or format(self.value, 'g')}"


def predict(
    records: Records, number: str, value: float | str | EllipsisType | None = None
) -> Prediction:
    """Ask for a prediction, or keep the one that is given.

    Args:
        records: The learner's file.
        number: Of the check that will judge it, such as "07.2".
        value: The number predicted, or one of the question's choices. The notebook's placeholder
            `...` stands for "none yet": then a form is shown where the front end can show one.

    Returns:
        The prediction: `.value` is NaN, and its verdict UNKNOWN, until there is a number.

    Raises:
        InvalidInput: No such check, nothing to predict there, not a number, or not a choice.
    """
    claim = find_claim(number)
    if claim.question is None:
        raise InvalidInput(f"Check {number} asks for no prediction: {claim.text}")
    prediction = Prediction(number, claim.question, records)
    if value is not None and value is not ...:
        prediction.record(value)
    elif _has_widgets():
        _show_form(prediction)
    return prediction


def _number(number: str, value: Any) -> float:
    given = isinstance(value, int | float) and not isinstance(value, bool)
    if not given or not math.isfinite(value) or value < 0:
        raise InvalidInput(
            f"The prediction for {number} is {value!r}: want a number of at least 0, "
            f"such as lab.predict({number!r}, 7.5)"
        )
    return float(value)


def _place(number: str, choices: tuple[str, ...], value: Any) -> float:
    if value not in choices:
        raise InvalidInput(
            f"The answer for {number} is {value!r}: want one of "
            + ", ".join(repr(choice) for choice in choices)
        )
    return float(choices.index(value) + 1)


def _has_widgets() -> bool:
    """Tell whether somebody sits at a front end that may show a form."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None and not is_quiet()


def _show_form(prediction: Prediction) -> None:
    import ipywidgets
    from IPython import display

    show: Any = display.display
    known = not math.isnan(prediction.value)
    if choices := prediction.question.choices:
        box = ipywidgets.Dropdown(options=choices, value=prediction.choice or choices[0])
    else:
        box = ipywidgets.FloatText(value=prediction.value if known else 0.0)
    button = ipywidgets.Button(description="Predict", tooltip="Keep this number with the time")
    answer = ipywidgets.Label(repr(prediction))

    def keep(_: object) -> None:
        try:
            prediction.record(box.value)
            answer.value = repr(prediction)
        except InvalidInput as exc:
            answer.value = str(exc)

    button.on_click(keep)
    label = ipywidgets.Label(f"{prediction.question.text}:")
    show(ipywidgets.VBox([ipywidgets.HBox([label, box, button]), answer]))
