"""A learner predicts, the lab decides, and both are kept."""

import math

import pytest

from lab_utils.course.claims import Claim, Finding, Question, Undecided, all_claims, find_claim
from lab_utils.course.predictions import predict
from lab_utils.course.records import Records
from lab_utils.course.verdicts import CheckFailed, check, judge
from lab_utils.errors import InvalidInput


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


def test_an_untouched_placeholder_is_unknown_and_no_error(records):
    prediction = predict(records, "07.8", ...)
    assert math.isnan(prediction.value)
    assert "UNKNOWN" in repr(prediction)
    assert records.read() == []


def test_an_answer_may_be_one_of_several_choices(records):
    assert predict(records, "13.2", ...).choice == ""
    answer = predict(records, "13.2", "backup slow")
    assert answer.choice == predict(records, "13.2").choice == "backup slow"
    assert repr(answer).endswith("you predict backup slow")
    with pytest.raises(InvalidInput, match=r"'the network': want one of 'primary killed'"):
        predict(records, "13.2", "the network")
    assert len(records.read()) == 1


def test_a_prediction_is_kept_with_its_time(records):
    prediction = predict(records, "07.8", 3)
    assert (prediction.value, float(prediction)) == (3.0, 3.0)
    assert records.read()[0]["at"].startswith("20")


def test_a_prediction_is_found_again_after_a_restart(records):
    predict(records, "07.8", 3)
    assert predict(Records(records.path.parent), "07.8").value == 3.0


@pytest.mark.parametrize("nonsense", ["seven", -1, math.nan, math.inf, True, None, [3]], ids=str)
def test_a_prediction_that_is_no_number_is_refused_or_none(records, nonsense):
    if nonsense is None:
        assert math.isnan(predict(records, "07.8", nonsense).value)
        return
    with pytest.raises(InvalidInput, match=r"prediction for 07\.8 is .*want a number"):
        predict(records, "07.8", nonsense)
    assert records.read() == []


def test_a_check_that_asks_nothing_takes_no_prediction(records):
    with pytest.raises(InvalidInput, match=r"07\.1 asks for no prediction"):
        predict(records, "07.1", 1)


def test_an_unknown_check_names_those_of_its_notebook(records):
    with pytest.raises(InvalidInput, match=r"no check '07\.99': want one of 07\.1, 07\.2"):
        check(records, "07.99")


def test_a_claim_that_holds_prints_one_line_and_is_kept(records, capsys):
    check(records, "00.3", {"model_name": "clock"})
    assert capsys.readouterr().out == (
        "PASS 00.3: the Service answers (seen clock, wanted clock)\n"
    )
    assert records.read()[0]["outcome"] == "PASS"


def test_a_claim_that_does_not_hold_raises_with_seen_and_wanted_and_is_kept(records):
    with pytest.raises(CheckFailed, match=r"FAIL 00\.3: .*seen None, wanted clock"):
        check(records, "00.3", {"error": "no"})
    assert records.read()[0]["outcome"] == "FAIL"


def test_a_failed_check_shows_a_learner_one_sentence_and_no_traceback():
    assert CheckFailed("FAIL 07.5: so")._render_traceback_() == ["FAIL 07.5: so"]


def test_data_that_decide_nothing_give_unknown_and_no_error():
    def decide():
        raise Undecided("no request was sent")

    verdict = judge(Claim("07.5", "it holds", None, decide))
    assert str(verdict) == "UNKNOWN 07.5: it holds (no request was sent)"


def test_the_learner_is_told_how_far_off_the_prediction_was(records, capsys):
    predict(records, "00.1", 9.5)
    deployments = _deployments("1/1", "1/1")
    check(records, "00.1", deployments, 4.5)
    assert capsys.readouterr().out.endswith("You predicted 9.5, off by a factor of 2.00.\n")


def test_a_measurement_that_is_no_number_is_kept_as_none():
    claim = Claim("07.5", "it holds", None, lambda: Finding(True, "nothing", "any", math.nan))
    assert judge(claim).value is None


def test_being_off_is_the_same_above_and_below_and_finite_at_zero():
    question = Question("requests", floor=1.0)
    assert question.off_by(7, 7) == 1.0
    assert question.off_by(3, 1) == pytest.approx(question.off_by(1, 3)) == pytest.approx(2.0)
    assert question.off_by(1, 0) == pytest.approx(2.0)


def test_claims_are_in_the_course_s_order_and_print_no_measured_number():
    numbers = list(all_claims())
    assert numbers.index("07.9") < numbers.index("07.10")
    assert all("(" not in claim.text for claim in all_claims().values())
    assert find_claim("07.3").question is not None


def _deployments(*ready):
    import pandas as pd

    return pd.DataFrame({"Ready": ready})
