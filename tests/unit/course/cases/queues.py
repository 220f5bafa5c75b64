"""Cases of notebook 02."""

import pandas as pd

from tests.unit.course.cases.making import long_run

POINT = {"rho": 0.8, "requests": 90, "mean_s": 0.5, "twin_s": 0.5, "low_s": 0.3, "high_s": 0.9,
         "in_system": 4.0, "flow": 4.0}  # fmt: skip
POINTS = pd.DataFrame([POINT, POINT | {"rho": 0.5}])
LOST_SOME = POINTS.assign(in_system=3.0)
SLOWER = POINTS.assign(mean_s=1.0)
FEW = POINTS.assign(requests=5)
USERS = pd.DataFrame({"users": [2, 30], "requests": [100, 400], "rps": [2.0, 9.9]})
TOO_MUCH = USERS.assign(rps=[2.0, 19.0])

CASES = {
    "02.1": ([POINTS], [LOST_SOME]),
    "02.2": ([POINTS], [SLOWER]),
    "02.3": ([POINTS], [SLOWER]),
    "02.4": ([long_run(0.5), long_run(0.3)], [long_run(0.5, 1200), long_run(0.45, 1200)]),
    "02.5": ([USERS, 0.9], [TOO_MUCH, 0.9]),
    "02.6": ([long_run(1.0), long_run(0.02)], [long_run(0.02), long_run(0.02)]),
}
UNDECIDED = {
    "02.1": [FEW],
    "02.2": [FEW],
    "02.4": [long_run(0.5), long_run(0.45)],
    "02.6": [long_run(1.0, 99), long_run(0.02, 99)],
}
