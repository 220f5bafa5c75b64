"""A run that was not what it claims to be contradicts no claim."""

from dataclasses import replace

import pandas as pd
import pytest

from lab_utils.course.claims import Claim, Finding
from lab_utils.course.confounds import find_confound
from lab_utils.course.verdicts import judge
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import answered

FAIR = simple_run([answered(k) for k in range(20)])
LATE = simple_run(
    [answered(k) | {"lag_s": 0.05} for k in range(20)], settings={"loop": "open", "rate_rps": 1.0}
)
CUT = replace(FAIR, interrupted=True)


def claim(*, holds):
    return Claim("07.1", "it holds", None, lambda *data, **named: Finding(holds, "a", "b"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([FAIR], ""),
        ([CUT], "the run was interrupted"),
        ([FAIR, LATE], "lateness p99 50 ms (want at most 5 ms)"),
        ([[FAIR, CUT]], "the run was interrupted"),
        ([{"a": FAIR, "b": CUT}], "the run was interrupted"),
        ([pd.DataFrame({"invalid": ["", "too late"]})], "too late"),
        ([pd.DataFrame({"rho": [0.8]}), 3, "a text"], ""),
    ],
    ids=["fair", "cut", "late", "list", "mapping", "table", "no run"],
)
def test_a_confound_is_found_wherever_a_claim_is_given_runs(data, said):
    assert find_confound(data) == said


def test_what_a_spoiled_run_contradicts_is_unknown_and_says_why():
    verdict = judge(claim(holds=False), CUT)
    assert verdict.outcome == "UNKNOWN"
    assert verdict.why == "seen a, wanted b, but the run was interrupted"


def test_a_fair_run_may_contradict_and_a_spoiled_one_may_bear_out():
    assert judge(claim(holds=False), FAIR).outcome == "FAIL"
    assert judge(claim(holds=True), run=CUT).outcome == "PASS"
