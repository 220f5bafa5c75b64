"""Cases of notebook 02."""

import pandas as pd

from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered, long_run

POINT = {"rho": 0.8, "requests": 90, "mean_s": 0.125, "twin_s": 0.125, "low_s": 0.08,
         "high_s": 0.2, "in_system": 4.0, "flow": 4.0}  # fmt: skip
POINTS = pd.DataFrame([POINT, POINT | {"rho": 0.5}])
LOST_SOME = POINTS.assign(in_system=3.0)
SLOWER = POINTS.assign(mean_s=0.25)
UNLUCKY = SLOWER.assign(twin_s=0.25)
FEW = POINTS.assign(requests=5)
USERS = pd.DataFrame({"users": [2, 30], "requests": [100, 400], "rps": [8.0, 39.0]})
TOO_MUCH = USERS.assign(rps=[8.0, 70.0])


def pairs(n, wait_s):
    """Make n pairs that come together to two queues; the second of each waits."""
    times = [k * 0.05 for k in range(n)]
    late = [answered(t, service_s=0.025, queue_s=wait_s, over_s=0) for t in times]
    return simple_run([*(answered(t, service_s=0.025, over_s=0) for t in times), *late])


CASES = {
    "02.1": ([POINTS], [LOST_SOME]),
    "02.2": ([POINTS], [SLOWER]),
    "02.3": ([POINTS], [SLOWER]),
    "02.4": ([pairs(60, 0.1)], [pairs(600, 0.0)]),
    "02.5": ([POINTS], [SLOWER]),
    "02.6": ([USERS, 0.225], [TOO_MUCH, 0.225]),
    "02.7": ([long_run(1.0), long_run(0.02)], [long_run(0.02), long_run(0.02)]),
}
UNDECIDED = {
    "02.1": [FEW],
    "02.2": [FEW],
    "02.3": [UNLUCKY],
    "02.4": [pairs(60, 0.0)],
    "02.5": [UNLUCKY],
    "02.6": [USERS[:0], 0.225],
    "02.7": [long_run(1.0, 99), NOTHING],
}
