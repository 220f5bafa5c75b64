"""Cases of notebook 13."""

from lab_utils.course.claims import Question
from lab_utils.course.predictions import Prediction
from lab_utils.hidden import SUSPECTS, Mystery
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered, run

HIDDEN = [{"start_s": 5.0, "end_s": 10.0, "name": "hidden", "target": "somebody"}]
CASE = Mystery(None, 4, 5, 5)


class Told:
    """A learner's file with one answer."""

    def __init__(self, answer):
        self.answer = answer

    def latest(self, kind):
        place = {} if self.answer is None else {"value": SUSPECTS.index(self.answer) + 1}
        return {"13.2": place} if place else {}


def said(answer):
    return Prediction("13.2", Question("who", 1.0, SUSPECTS), Told(answer))


def spread(slow_s, *, slow=20, pods=2, n=400, rate_rps=20):
    """Make n answers of 100 ms, of which some took slow_s, evenly over pods."""
    rows = [
        answered(k / rate_rps, over_s=slow_s - 0.1 if k % (n // slow) == 0 else 0.003)
        | {"pod": f"pod-{k % pods}"}
        for k in range(n)
    ]
    return simple_run(rows, settings={"rate_rps": rate_rps})


STEADY = run((0, 10, "primary"), faults=[])
INCIDENT = run((0, 5, "primary"), (5, 10, ""), (10, 20, "primary"), faults=HIDDEN)
NOT_OVER = run((0, 5, "primary"), (5, 20, ""), faults=HIDDEN)
OTHER = next(suspect for suspect in SUSPECTS if suspect != CASE.reveal())

CASES = {
    "13.1": ([STEADY], [INCIDENT]),
    "13.2": ([INCIDENT, CASE, said(CASE.reveal())], [INCIDENT, CASE, said(OTHER)]),
    "13.3": ([STEADY, INCIDENT], [STEADY, NOT_OVER]),
    "13.4": ([spread(0.25), 2], [spread(0.9), 2]),
    "13.5": ([spread(0.103), 2], [spread(0.9, slow=200), 2]),
}
UNDECIDED = {
    "13.1": [NOTHING],
    "13.2": [INCIDENT, CASE, said(None)],
    "13.3": [STEADY, STEADY],
    "13.4": [spread(0.25, n=100, slow=5), 2],
    "13.5": [NOTHING, 2],
}
