"""Cases of notebook 10."""

from dataclasses import replace

import pandas as pd

from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered, long_run

SIZES = [1, 4, 16, 32]
POINTS = pd.DataFrame(
    {"size": SIZES, "rps": [18.1, 57.0, 122.9, 152.0], "batch_s": [0.055, 0.07, 0.13, 0.21]}
)
NO_GAIN = POINTS.assign(rps=[18.1, 18.0, 18.0, 18.0], batch_s=[0.055, 0.22, 0.88, 1.77])
LATE_USERS = POINTS.assign(rps=[18.1, 57.0, 90.0, 100.0])
AUTOSCALE = {"start_s": 22.0, "end_s": 22.0, "name": "autoscale", "target": "backup"}


def pods(role, *born_s):
    """Make a pod for each birth, ready 5 s later; the first has always been there."""
    rows = []
    for number, at_s in enumerate(born_s):
        pod = {"kind": "pod", "name": f"{role}-{number}", "role": role}
        rows += [pod | {"t_s": at_s, "ready": at_s < 0}, pod | {"t_s": at_s + 5, "ready": True}]
    return make_table("states", rows)


def burnt(
    *born_s, rate_rps=4, done_rps=2.2, cpu_cores=0.099, throttled=0.9, after_s=0.1, ends_s=50
):
    rows = []
    for k in range(int(ends_s * rate_rps)):
        at_s = k / rate_rps
        over_s = after_s if born_s and at_s > max(born_s) + 5 else 3.0
        fails = over_s == 3.0 and (k * done_rps / rate_rps) % 1 >= done_rps / rate_rps
        rows.append({"scheduled_s": at_s, "ok": False} if fails else answered(at_s, over_s=over_s))
    run = simple_run(rows, faults=[AUTOSCALE])
    kubelet = [{"t_s": t, "role": "backup", "cpu_cores": cpu_cores} for t in (13, 23, 33)]
    usage = [{"role": "backup", "throttled_share": throttled}]
    return replace(
        run, states=pods("backup", -1, *born_s), kubelet=make_table("kubelet", kubelet),
        usage=make_table("usage", usage),
    )  # fmt: skip


def slept(*born_s, ends_s=50, queue_s=4.0):
    rows = [answered(k / 2, "sleeper", service_s=0.5, queue_s=queue_s) for k in range(2 * ends_s)]
    run = simple_run(rows, faults=[AUTOSCALE | {"target": "sleeper"}])
    return replace(run, states=pods("sleeper", -1, *born_s))


AT_ONCE, WAITED = long_run(0.056, 30), long_run(0.155, 30)
ONE_STEP = burnt(36.0, 36.1, 36.2)
BY_AND_BY = burnt(36.0, 51.0)
CASES = {
    "10.1": ([POINTS], [NO_GAIN]),
    "10.2": ([POINTS], [NO_GAIN]),
    "10.3": ([AT_ONCE, WAITED], [AT_ONCE, AT_ONCE]),
    "10.4": ([long_run(0.3), 3, 0.5], [long_run(0.8), 2, 0.5]),
    "10.5": ([ONE_STEP, 0.04], [burnt(36.0, done_rps=0.9), 0.04]),
    "10.6": ([ONE_STEP, 0.16], [BY_AND_BY, 0.16]),
    "10.7": ([slept()], [slept(36.0)]),
    "10.8": ([ONE_STEP], [burnt(36.0, 36.1, 36.2, after_s=2.5)]),
}
UNDECIDED = {
    "10.1": [LATE_USERS],
    "10.2": [POINTS.head(2)],
    "10.3": [AT_ONCE, NOTHING],
    "10.4": [long_run(0.3, 50), 3, 0.5],
    "10.5": [burnt(throttled=0.1), 0.04],
    "10.6": [burnt(36.0, cpu_cores=0.05), 0.16],
    "10.7": [slept(ends_s=30)],
    "10.8": [burnt(36.0, 36.1, 36.2, ends_s=42)],
}
