"""Cases of notebook 06."""

from dataclasses import replace

import pandas as pd

from lab_utils.tables import make_table
from tests.unit.course.cases.making import NOTHING, requests, run

HANG = {"start_s": 5.0, "end_s": 13.0, "name": "hang", "target": "primary"}
PAUSES = [
    {"start_s": 5.0, "end_s": 9.0, "name": "hang", "target": role} for role in ("primary", "backup")
]
STEADY = run((0, 10, "primary"), faults=[])
HUNG = run((0, 5, "primary"), (5, 9, "backup"), (9, 20, "primary"), faults=[HANG])
LOSING = run((0, 5, "primary"), (5, 7, ""), (7, 20, "backup"), faults=[HANG])
SINCE = run((0, 5, "primary"), (5, 5.5, ""), (5.5, 20, "backup"))
STILL_LOSING = run((0, 5, "primary"), (5, 10, ""), (10, 20, "backup"))


def points(fault="hang", **roles):
    """Make a point for each role from (detected_s, back_s); the probe notices in 3 to 5 s."""
    rows = [
        {"role": role, "fault": fault, "start_s": 5.0, "low_s": 3.0, "high_s": 5.0,
         "detected_s": detected_s, "back_s": back_s}
        for role, (detected_s, back_s) in roles.items()
    ]  # fmt: skip
    columns = ["role", "fault", "start_s", "low_s", "high_s", "detected_s", "back_s"]
    return pd.DataFrame(rows, columns=columns)


def paused(restarts, backup_back_s, faults=PAUSES):
    """Make a run of two pods that pause; one answers again at 9 s, the other when it is said."""
    spans = [(0, 5, "primary"), (0, 5, "backup"), (9, 30, "primary"), (backup_back_s, 30, "backup")]
    usage = [
        {"t_s": t_s, "role": role, "restarts": restarts if role == "backup" and t_s else 0}
        for t_s in (0, 30)
        for role in ("primary", "backup")
    ]
    made = replace(STEADY, requests=make_table("requests", requests(*spans, rate_rps=10)))
    return replace(made, usage=make_table("usage", usage), faults=make_table("faults", faults))


IN_TIME = points(primary=(4.1, 9.0), eager=(3.2, 9.0))
TOO_LATE = points(primary=(4.1, 9.0), eager=(7.2, 9.0))
NEVER = points(primary=(float("nan"), float("nan")))
CRASHED = points("kill -9", primary=(0.6, 4.6), patient=(1.1, 5.0))
UNNOTICED = points("kill -9", primary=(4.1, 8.0))
RESTARTED, LEFT_ALONE = paused(1, 16), paused(0, 9)

CASES = {
    "06.1": ([STEADY], [LOSING]),
    "06.2": ([IN_TIME], [TOO_LATE]),
    "06.3": ([IN_TIME, LOSING], [IN_TIME, HUNG]),
    "06.4": ([CRASHED], [UNNOTICED]),
    "06.5": ([CRASHED, SINCE], [CRASHED, STILL_LOSING]),
    "06.6": ([RESTARTED], [LEFT_ALONE]),
    "06.7": ([RESTARTED], [LEFT_ALONE]),
}
UNDECIDED = {
    "06.1": [NOTHING],
    "06.2": [CRASHED],
    "06.3": [NEVER, HUNG],
    "06.4": [IN_TIME],
    "06.5": [points(), SINCE],
    "06.6": [LOSING],
    "06.7": [LOSING],
}
