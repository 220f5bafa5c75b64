"""Each claim passes on a run that bears it out, and fails on one that must fail it."""

import pytest

from lab_utils.course.claims import all_claims
from lab_utils.course.verdicts import judge
from tests.unit.course.cases import CASES, UNDECIDED


def test_every_claim_has_its_cases():
    assert set(CASES) == set(all_claims())


@pytest.mark.parametrize("number", sorted(CASES))
def test_a_claim_passes_on_data_that_bear_it_out(number):
    assert judge(all_claims()[number], *CASES[number][0]).outcome == "PASS"


@pytest.mark.parametrize("number", sorted(CASES))
def test_a_claim_fails_on_data_that_contradict_it(number):
    assert judge(all_claims()[number], *CASES[number][1]).outcome == "FAIL"


@pytest.mark.parametrize("number", sorted(UNDECIDED))
def test_a_claim_is_unknown_on_data_that_say_nothing(number):
    assert judge(all_claims()[number], *UNDECIDED[number]).outcome == "UNKNOWN"
