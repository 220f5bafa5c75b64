"""Cases of notebook 12."""

from dataclasses import replace

import numpy as np
import pandas as pd

from lab_utils import theory
from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered, long_run

SLOWER_THAN_TWIN = simple_run([answered(k, queue_s=0.2) for k in range(100)])
MEASURED = pd.DataFrame({
    "workers": [2, 4], "policy": ["power_of_two", "random"], "requests": [100, 200],
    "mean_s": [0.3, 0.5], "low_s": [0.2, 0.3], "high_s": [0.4, 0.9],
})  # fmt: skip
MEANS_S = {"random": 0.5, "round_robin": 0.27, "power_of_two": 0.195, "least_outstanding": 0.1}


def fleets(means_s):
    sizes = [2, 100, 10_000]
    rows = [(size, policy, mean_s) for size in sizes for policy, mean_s in means_s.items()]
    return pd.DataFrame(rows, columns=["workers", "policy", "mean_s"])


def many(mean_s, n=200_000):
    return np.random.default_rng(1).exponential(mean_s, n)


def job(*numbers, due=4, generators=2):
    run = simple_run(
        [answered(k) | {"request_id": k} for k in numbers],
        settings={"client": {"wall_s": 5.0, "cpu_s": 0.1, "generators": generators}},
    )
    schedule = make_table("schedule", [{"request_id": k} for k in range(due)])
    return replace(run, schedule=schedule)


LIMIT_S = theory.two_choices_response_s(0.8, 0.1)
CASES = {
    "12.1": ([[long_run(0.01)]], [[SLOWER_THAN_TWIN]]),
    "12.2": ([MEASURED], [MEASURED.assign(mean_s=[0.3, 1.5])]),
    "12.3": ([fleets(MEANS_S)], [fleets(MEANS_S | {"power_of_two": 0.4})]),
    "12.4": ([many(LIMIT_S)], [many(0.25)]),
    "12.5": ([job(0, 1, 2, 3)], [job(0, 1, 1, 3)]),
}
UNDECIDED = {
    "12.1": [[NOTHING]],
    "12.2": [MEASURED.assign(requests=5)],
    "12.3": [fleets({"random": 0.5})],
    "12.4": [many(LIMIT_S, 100)],
    "12.5": [NOTHING],
}
