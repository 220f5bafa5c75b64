"""What tables say, against cases that can be checked by hand and against simulation."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from lab_utils import analysis
from lab_utils.errors import EmptyRun
from lab_utils.tables import make_table
from tests.tools.made_runs import made_run


def requests_at(pattern, *, gap_s=0.1, role="primary"):
    """Make requests: "." is answered in 0.1 s, "x" fails, "c" is cut by the end of the run."""
    rows = [
        {
            "request_id": i,
            "scheduled_s": i * gap_s,
            "sent_s": i * gap_s + 0.01,
            "done_s": i * gap_s + 0.1,
            "lag_s": 0.01,
            "latency_s": 0.1 if mark == "." else None,
            "ok": mark == ".",
            "error": {".": "", "x": "reset", "c": "cancelled"}[mark],
            "role": role if mark == "." else "",
            "queue_s": 0.02,
            "service_s": 0.05,
        }
        for i, mark in enumerate(pattern)
    ]
    return make_table("requests", rows)


def test_percentiles_of_a_known_sample():
    found = analysis.percentiles(np.arange(1, 1001) / 1000).set_index("quantile")
    assert found["latency_s"].tolist() == [0.5, 0.95, 0.99]
    # Ranks by the binomial distribution, as in tables of order-statistic intervals.
    assert found.loc[0.5, ["low_s", "high_s"]].tolist() == [0.469, 0.532]
    assert found["n"].tolist() == [1000] * 3


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_percentile_intervals_cover_the_truth_as_often_as_they_claim(q):
    random, truth = np.random.default_rng(1), -math.log(1 - q)
    inside = 0
    for _ in range(400):
        row = analysis.percentiles(random.exponential(size=600), [q]).iloc[0]
        inside += row["low_s"] <= truth <= row["high_s"]
    assert 0.93 <= inside / 400 <= 0.995


@pytest.mark.parametrize("samples", [[], [math.nan], [0.1], [0.1] * 300])
def test_too_few_samples_have_no_interval_rather_than_a_wrong_one(samples):
    found = analysis.percentiles(samples, [0.99]).iloc[0]
    assert math.isnan(found["high_s"])


def test_failures_close_together_are_one_outage():
    outages = analysis.find_outages(requests_at("." * 10 + "x.x..x" + "." * 20))
    assert len(outages) == 1
    outage = outages.iloc[0]
    assert (outage["start_s"], outage["end_s"]) == pytest.approx((1.0, 1.6))
    assert outage["lost"] == 3
    assert outage["failing_share"] == pytest.approx(0.5)


def test_failures_far_apart_are_two_outages():
    outages = analysis.find_outages(requests_at("x" + "." * 15 + "xx" + "." * 15))
    assert outages["lost"].tolist() == [1, 2]
    assert outages["duration_s"].tolist() == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("seed", range(5))
def test_every_failure_is_in_exactly_one_outage(seed):
    marks = np.random.default_rng(seed).choice([".", "x"], 500, p=[0.95, 0.05])
    requests = requests_at(marks).sample(frac=1, random_state=seed)  # in any order
    assert analysis.find_outages(requests)["lost"].sum() == (marks == "x").sum()


def test_an_outage_cut_by_the_end_lasts_until_the_last_answer():
    outages = analysis.find_outages(requests_at("." * 10 + "xxx"))
    assert outages["end_s"][0] == pytest.approx(1.3)


def test_an_answer_after_the_deadline_counts_as_failed():
    requests = requests_at("." * 20)
    requests.loc[5, "latency_s"] = 3.0
    assert analysis.find_outages(requests).empty
    assert analysis.find_outages(requests, deadline_s=1.0)["lost"].tolist() == [1]


def test_no_requests_are_an_error_and_no_failures_are_none():
    with pytest.raises(EmptyRun, match="fire some load first"):
        analysis.find_outages(make_table("requests"))
    assert analysis.find_outages(requests_at("....cc")).empty


@pytest.mark.parametrize(
    ("pattern", "recovered"),
    [
        ("." * 20, True),
        ("." * 5 + "xx" + "." * 15, True),
        ("." * 15 + "xx" + "...", False),
        ("." * 15 + "xx", False),
        ("x" * 20, False),
        ("", False),
    ],
)
def test_recovered_means_that_the_run_ends_well(pattern, recovered):
    assert analysis.has_recovered(requests_at(pattern)) is recovered


def test_shares_are_judged_by_the_band_of_a_random_choice():
    even = pd.concat([requests_at("." * 52), requests_at("." * 48, role="backup")])
    found = analysis.shares(even).set_index("role")
    assert found.loc["primary", "share"] == pytest.approx(0.52)
    assert found["low"].tolist() == pytest.approx([0.402, 0.402])
    assert found["in_band"].all()
    uneven = pd.concat([requests_at("." * 62), requests_at("." * 38, role="backup")])
    assert not analysis.shares(uneven)["in_band"].any()


def test_the_parts_of_a_request_sum_to_its_time():
    split = analysis.parts(requests_at(".x."))
    assert len(split) == 2
    named = split[["client_s", "queue_s", "service_s", "overhead_s"]]
    assert named.sum(axis=1).tolist() == pytest.approx(split["total_s"].tolist())
    assert split["overhead_s"].tolist() == pytest.approx([0.02, 0.02])


def test_rates_count_each_request_once():
    rates = analysis.rates(requests_at("." * 10 + "xxxxx....." + "c"))
    assert rates.loc[0.0].to_dict() == {"failed": 0.0, "primary": 10.0}
    assert rates.loc[1.0].to_dict() == {"failed": 5.0, "primary": 5.0}


def test_availability_leaves_out_what_the_end_of_the_run_cut():
    band = analysis.availability(requests_at("...xccccc"))
    assert band.value == 0.75
    assert band.low < 0.75 < band.high


@pytest.mark.parametrize("pattern", ["", ".", "xxx", "." * 400 + "x"])
def test_a_summary_is_plain_json_whatever_the_run(pattern):
    run = made_run()
    requests = requests_at(pattern)
    object.__setattr__(run, "requests", requests)
    summary = analysis.summarize(run)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["requests"] == len(pattern)
    assert summary["lost"] == pattern.count("x")
    assert (summary["p50_ms"] is None) is ("." not in pattern)
