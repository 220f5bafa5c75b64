"""Cases of notebook 05."""

from dataclasses import replace

import pandas as pd

from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered

PODS = ("a", "b", "c", "d")


def shared(*pods, new=(), n=200, every_s=0.05):
    """Make a run whose requests these pods answer in turn; `new` are Ready from 3 s on."""
    rows = [answered(k * every_s) | {"pod": pods[k % len(pods)]} for k in range(n)]
    states = [
        {"t_s": 3.0 if name in new else -0.1, "kind": "pod", "name": name, "ready": True}
        for name in dict.fromkeys((*pods, *new))
    ]
    return replace(simple_run(rows), states=make_table("states", states))


def points(requests=400, **p99_ms):
    rows = [
        {"policy": policy, "requests": requests, "mean_s": 0.1, "twin_s": 0.1, "p99_s": ms / 1e3,
         "mean_low_s": 0.05, "mean_high_s": 0.2}
        for policy, ms in p99_ms.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["policy", "requests", "mean_s", "twin_s", "p99_s",
                                       "mean_low_s", "mean_high_s"])  # fmt: skip


AS_TOLD = {"random": 900, "round_robin": 600, "power_of_two": 370, "least_outstanding": 340}
UPSIDE_DOWN = AS_TOLD | {"random": 300}
POINTS = points(**AS_TOLD)
SLOWER = POINTS.assign(mean_s=0.3)

CASES = {
    "05.1": ([shared("a")], [shared("a", "b")]),
    "05.2": ([shared("a", "a", "a", "b")], [shared("a", "b", "c", "d", "a")]),
    "05.3": ([shared("a", "b", new=("c",))], [shared("a", "b", "c", new=("c",))]),
    "05.4": ([shared(*PODS)], [shared("a", "a", "a", *PODS)]),
    "05.5": ([POINTS], [SLOWER]),
    "05.6": ([POINTS], [points(4_000, **UPSIDE_DOWN)]),
    "05.7": ([POINTS], [SLOWER]),
}
UNDECIDED = {
    "05.1": [NOTHING],
    "05.2": [shared("a", n=10)],
    "05.3": [shared("a", "b")],
    "05.4": [shared(*PODS, n=10)],
    "05.5": [points()],
    "05.6": [points(**UPSIDE_DOWN)],
    "05.7": [points()],
}
