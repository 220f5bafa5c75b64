"""Each claim passes on a run that bears it out, and fails on one that must fail it."""

import pandas as pd
import pytest

from lab_utils.course.claims import all_claims
from lab_utils.course.verdicts import judge
from tests.tools.made_runs import simple_run

KILL = [{"start_s": 5.0, "end_s": 5.0, "name": "kill -9", "target": "primary"}]


def requests(*spans, rate_rps=20):
    """Make requests from (start_s, end_s, role or "" for failed)."""
    rows = []
    for start_s, end_s, role in spans:
        times = [start_s + k / rate_rps for k in range(int((end_s - start_s) * rate_rps))]
        rows += [answered(t, role) if role else {"scheduled_s": t, "ok": False} for t in times]
    return rows


def answered(scheduled_s, role="primary", *, service_s=0.1, queue_s=0.0, over_s=0.003, attempts=1):
    latency_s = service_s + queue_s + over_s
    return {
        "scheduled_s": scheduled_s, "sent_s": scheduled_s, "done_s": scheduled_s + latency_s,
        "latency_s": latency_s, "lag_s": 0.0, "ok": True, "role": role, "pod": f"{role}-1",
        "queue_s": queue_s, "service_s": service_s, "attempts": attempts,
    }  # fmt: skip


def run(*spans, outage_s=0.0, faults=KILL):
    outages = [{"start_s": 5.0, "end_s": 5.0 + outage_s, "duration_s": outage_s}]
    return simple_run(requests(*spans), faults=faults, outages=outages if outage_s else [])


def deployments(*ready):
    return pd.DataFrame({"Ready": ready})


STEADY = run((0, 10, "primary"), faults=[])
SHORT = run((0, 5, "primary"), (5, 5.5, ""), (5.5, 20, "backup"), outage_s=0.5)
LONG = run((0, 5, "primary"), (5, 12, ""), (12, 20, "primary"), outage_s=7.0)
NONE_LOST = run((0, 5, "primary"), (5, 20, "backup"))
ONE_BY_ONE = simple_run([answered(k * 0.103) for k in range(60)])
SLOW = simple_run([answered(k, service_s=0.2, queue_s=0.05, over_s=0.02) for k in range(60)])
SPREAD = simple_run([answered(k, "backup" if k % 2 else "primary") for k in range(60)])
RETRIED = simple_run([answered(5, "backup", attempts=2)], faults=KILL)
UNHELPED = simple_run([answered(5, "primary", attempts=2)], faults=KILL)
NOTHING = simple_run([])
BOASTED = simple_run([answered(1) | {"service_s": 0.2}])

POINT = {"rho": 0.8, "requests": 90, "mean_s": 0.5, "twin_s": 0.5, "low_s": 0.3, "high_s": 0.9,
         "in_system": 4.0, "flow": 4.0}  # fmt: skip
POINTS = pd.DataFrame([POINT, POINT | {"rho": 0.5}])
LOST_SOME = POINTS.assign(in_system=3.0)
SLOWER = POINTS.assign(mean_s=1.0)
FEW = POINTS.assign(requests=5)
USERS = pd.DataFrame({"users": [2, 30], "requests": [100, 400], "rps": [2.0, 9.9]})
TOO_MUCH = USERS.assign(rps=[2.0, 19.0])


def long_run(latency_s, n=400):
    return simple_run([answered(k * 0.02, service_s=latency_s, over_s=0.0) for k in range(n)])


CASES = {
    "00.1": ([deployments("1/1", "1/1"), 4.5], [deployments("1/1", "0/1"), 4.5]),
    "00.2": ([{"primary": "a", "backup": "b"}], [{"primary": "a", "backup": "a"}]),
    "00.3": ([{"model_name": "clock"}], [{"error": "no"}]),
    "01.1": ([ONE_BY_ONE], [BOASTED]),
    "01.2": ([ONE_BY_ONE], [SLOW]),
    "01.3": ([ONE_BY_ONE], [SLOW]),
    "01.4": ([ONE_BY_ONE], [SLOW]),
    "01.5": ([ONE_BY_ONE], [SPREAD]),
    "01.6": ([SPREAD], [ONE_BY_ONE]),
    "02.1": ([POINTS], [LOST_SOME]),
    "02.2": ([POINTS], [SLOWER]),
    "02.3": ([POINTS], [SLOWER]),
    "02.4": ([long_run(0.5), long_run(0.3)], [long_run(0.5, 1200), long_run(0.45, 1200)]),
    "02.5": ([USERS, 0.9], [TOO_MUCH, 0.9]),
    "02.6": ([long_run(1.0), long_run(0.02)], [long_run(0.02), long_run(0.02)]),
    "07.1": ([STEADY], [LONG]),
    "07.2": ([SHORT], [LONG]),
    "07.3": ([SHORT], [LONG]),
    "07.4": ([SHORT], [run((0, 20, "primary"))]),
    "07.5": ([True], [False]),
    "07.6": ([SHORT], [LONG]),
    "07.7": ([SHORT], [LONG]),
    "07.8": ([NONE_LOST], [SHORT]),
    "07.9": ([RETRIED], [UNHELPED]),
    "07.10": ([SHORT, LONG, NONE_LOST], [NONE_LOST, LONG, SHORT]),
}
UNDECIDED = {
    "01.1": [NOTHING], "01.2": [NOTHING], "01.4": [NOTHING], "02.1": [FEW], "02.2": [FEW],
    "02.4": [long_run(0.5), long_run(0.45)], "02.6": [long_run(1.0, 99), long_run(0.02, 99)],
    "07.1": [NOTHING], "07.2": [STEADY], "07.3": [STEADY], "07.4": [run((0, 5, "primary"))],
    "07.9": [NONE_LOST],
}  # fmt: skip


def test_every_claim_has_its_cases():
    assert list(CASES) == list(all_claims())


@pytest.mark.parametrize("number", CASES)
def test_a_claim_passes_on_data_that_bear_it_out(number):
    assert judge(all_claims()[number], *CASES[number][0]).outcome == "PASS"


@pytest.mark.parametrize("number", CASES)
def test_a_claim_fails_on_data_that_contradict_it(number):
    assert judge(all_claims()[number], *CASES[number][1]).outcome == "FAIL"


@pytest.mark.parametrize("number", UNDECIDED)
def test_a_claim_is_unknown_on_data_that_say_nothing(number):
    assert judge(all_claims()[number], *UNDECIDED[number]).outcome == "UNKNOWN"
