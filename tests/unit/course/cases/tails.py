"""Cases of notebook 03."""

from dataclasses import replace

import numpy as np
import pandas as pd

from lab_utils import theory
from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import answered, long_run


def ranked(exceeds, n=600):
    """Make a run whose latencies are the quantiles of a distribution."""
    return [theory.quantile_s((k + 0.5) / n, exceeds) for k in range(n)]


def run_of(services_s, *, role="primary", hedged=0.0, late=0):
    rows = [
        answered(0.02 * k, role, service_s=service_s, over_s=0.002)
        | {"request_id": k, "hedged": k < hedged * len(services_s)}
        for k, service_s in enumerate(services_s)
    ]
    tried = [{"sent_s": 0, "done_s": 0.12 if k < late else 0.05, "ok": True} for k in range(400)]
    return replace(simple_run(rows), attempts=make_table("attempts", tried))


def both(primary_s, backup_s):
    halves = run_of(primary_s), run_of(backup_s, role="backup")
    return simple_run(pd.concat([half.requests for half in halves]))


def pages(shares, requests=100):
    sizes = [1, 5, 20]
    slow = [round(requests * share) for share in shares]
    return pd.DataFrame({"fan_out": sizes, "requests": requests, "slow": slow})


CONSTANT = long_run(0.1, 600)
CLOCKS = {
    "const": CONSTANT,
    "exponential": run_of(ranked(theory.exceeds_exponential(0.1))),
    "lognormal": run_of(ranked(theory.exceeds_lognormal(0.1, 2), 2000)),
}
ALIKE = dict.fromkeys(CLOCKS, CONSTANT)
FAST, SLOW = (ranked(theory.exceeds_exponential(p99_s / np.log(100))) for p99_s in (0.1, 1.0))
PLAIN = run_of([0.05] * 380 + [1.0] * 20)
HEDGED = run_of([0.05] * 380 + [0.15] * 20, hedged=0.05)
LATE = run_of([0.05] * 380 + [0.15] * 20, hedged=0.05, late=20)
FEW = run_of([0.05] * 99)
PLAIN_PAGES = pages([theory.slow_share(0.05, n) for n in (1, 5, 20)])
HEDGED_PAGES = pages([theory.slow_share(0.0025, n) for n in (1, 5, 20)])

CASES = {
    "03.1": ([CLOCKS], [CLOCKS | {"const": long_run(0.2)}]),
    "03.2": ([CLOCKS], [ALIKE]),
    "03.3": ([both(FAST, SLOW)], [both([0.01] * 393 + [0.99] * 7, [0.02] * 4996 + [1.0] * 4)]),
    "03.4": ([PLAIN_PAGES], [pages([0.05, 0.05, 0.05])]),
    "03.5": ([PLAIN, HEDGED], [PLAIN, PLAIN]),
    "03.6": ([HEDGED], [run_of([0.05] * 400, hedged=0.2)]),
    "03.7": ([HEDGED_PAGES], [PLAIN_PAGES]),
    "03.8": ([PLAIN, PLAIN], [PLAIN, HEDGED]),
}
UNDECIDED = {
    "03.1": [CLOCKS | {"const": FEW}],
    "03.2": [CLOCKS | {"const": simple_run([answered(k, queue_s=0.5) for k in range(600)])}],
    "03.3": [CONSTANT],
    "03.4": [PLAIN_PAGES.assign(requests=5)],
    "03.5": [PLAIN, LATE],
    "03.6": [LATE],
    "03.7": [HEDGED_PAGES.iloc[:0]],
    "03.8": [FEW, FEW],
}
