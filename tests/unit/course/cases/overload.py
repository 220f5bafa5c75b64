"""Cases of notebook 09."""

import pandas as pd

from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import requests

STALL = [{"start_s": 2.0, "end_s": 4.0, "name": "stall", "target": "primary"}]
UP = ((0, 2, "primary"), (2, 5, ""), (5, 12, "primary"))
DOWN = ((0, 2, "primary"), (2, 12, ""))
SHORT = ((0, 2, "primary"), (2, 5, ""))
POINT = {"failing": 0.5, "attempts": 1.75, "low": 1.65, "high": 1.85, "requests": 300}


def run(*spans, faults=STALL, retries=None):
    settings = {"rate_rps": 20.0, "retries": retries}
    return simple_run(requests(*spans), faults=faults, settings=settings)


POINTS = pd.DataFrame([POINT, POINT | {"failing": 0.0, "attempts": 1.0, "low": 0.99, "high": 1.01}])
RECOVERED, STUCK, CUT = run(*UP), run(*DOWN), run(*SHORT)
THRICE = {"attempts": 3}

CASES = {
    "09.1": ([POINTS, 3], [POINTS.assign(attempts=3.0), 3]),
    "09.2": ([RECOVERED], [run((0, 1, ""), (1, 12, "primary"))]),
    "09.3": ([RECOVERED], [STUCK]),
    "09.4": ([STUCK], [RECOVERED]),
    "09.5": ([STUCK], [RECOVERED]),
    "09.6": ([RECOVERED], [STUCK]),
    "09.7": ([run(*UP, retries=THRICE)], [run(*DOWN, retries=THRICE)]),
}
UNDECIDED = {
    "09.1": [POINTS.assign(requests=50), 3],
    "09.2": [run(*UP, faults=[])],
    "09.3": [CUT],
    "09.4": [CUT],
    "09.5": [CUT],
    "09.6": [CUT],
    "09.7": [RECOVERED],
}
