"""The verdict on the load itself: what is looked at, and that nothing else spoils it."""

import numpy as np
import pandas as pd
import pytest

from lab_utils.arrivals import Steps, describe, make_schedule
from lab_utils.tables import make_table
from lab_utils.validity import Validity, judge, ks_distance

CLIENT = {"cpu_s": 1.0, "wall_s": 40.0, "clock_resolution_s": 1e-9}
SETTINGS = {"loop": "open", "rate_rps": 100.0, "duration_s": 40.0, "client": CLIENT}


def load(arrivals="poisson", lag_s=5e-5, **changed):
    """Give requests, schedule and settings of a run that was sent lag_s late."""
    due_s = make_schedule(arrivals, 100.0, 40.0, 3)
    table = pd.DataFrame({"request_id": range(len(due_s)), "scheduled_s": due_s})
    requests = table.assign(sent_s=due_s + lag_s, lag_s=lag_s, ok=True, service_s=0.1)
    settings = SETTINGS | {"arrivals": describe(arrivals)} | changed
    return make_table("requests", requests), make_table("schedule", table), settings


@pytest.mark.parametrize("arrivals", ["poisson", "constant", Steps((1, 2))], ids=str)
def test_a_load_on_time_is_valid(arrivals):
    verdict = judge(*load(arrivals))
    assert (verdict.valid, verdict.text) == (True, "")
    assert verdict.figures["lateness_p99_s"] == pytest.approx(5e-5)
    assert verdict.figures["achieved_rps"] == pytest.approx(verdict.figures["target_rps"], rel=1e-4)


def test_late_sending_is_said_with_its_limit():
    verdict = judge(*load(lag_s=0.0062))
    assert verdict.text == "INVALID: lateness p99 6.2 ms (want at most 5 ms)"


def test_lateness_counts_against_a_short_service_time():
    requests, schedule, settings = load(lag_s=0.0005)
    assert judge(requests, schedule, settings).valid
    assert not judge(requests.assign(service_s=0.002), schedule, settings).valid


def test_requests_that_never_left_are_missed():
    requests, schedule, settings = load()
    verdict = judge(requests.iloc[::2], schedule, settings)
    assert "sent 50" in verdict.text
    assert "instead of 10" in verdict.text


def test_an_interrupted_run_is_judged_by_what_was_due_until_then():
    requests, schedule, settings = load()
    assert judge(requests.head(500), schedule, settings).valid


def test_gaps_that_are_not_poisson_are_missed():
    requests, schedule, settings = load("constant")
    settings["arrivals"] = "poisson"
    verdict = judge(requests, schedule, settings)
    assert "away from Poisson" in verdict.text
    assert verdict.figures["ks"] > verdict.figures["ks_limit"]


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({"cpu_s": 36.0}, r"client CPU 90% \(want at most 80%\)"),
        ({"clock_resolution_s": 1e-3}, "the clock moves in steps of 1000 us"),
    ],
)
def test_a_client_that_is_no_good_witness_is_said(client, said):
    requests, schedule, settings = load(client=CLIENT | client)
    assert pd.Series([judge(requests, schedule, settings).text]).str.contains(said).all()


def test_a_client_without_sockets_is_said():
    requests, schedule, settings = load()
    requests.loc[:4, "error"] = "client"
    assert "5 requests failed in the client" in judge(requests, schedule, settings).text


def test_a_run_of_which_nothing_is_known_is_not_blamed():
    nothing = make_table("requests"), make_table("schedule"), {}
    assert judge(*nothing) == Validity((), {"client_errors": 0.0})
    requests, _, _ = load()
    assert judge(requests, make_table("schedule"), {"loop": "closed"}).valid


def test_the_distance_of_gaps_is_that_of_the_textbook():
    assert ks_distance(np.array([np.log(2)])) == pytest.approx(0.5)
    assert ks_distance(np.full(100, 1.0)) == pytest.approx(1 - np.exp(-1))
