"""What tables say, against cases that can be checked by hand and against simulation."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from lab_utils import analysis, theory
from lab_utils.errors import EmptyRun, InvalidInput
from lab_utils.simulation import Server, serve
from lab_utils.tables import make_table
from tests.tools.made_nodes import node_run
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


def test_a_bootstrap_covers_the_truth_as_often_as_it_claims():
    random = np.random.default_rng(3)
    bands = [
        analysis.bootstrap_band(random.exponential(size=200), np.mean, repetitions=200, seed=seed)
        for seed in range(200)
    ]
    assert 0.89 <= np.mean([1.0 in band for band in bands]) <= 0.99


def test_latencies_of_one_queue_need_blocks_to_be_judged_honestly():
    random, covered = np.random.default_rng(4), {1: 0, 200: 0}
    for seed in range(60):
        arrivals_s = np.cumsum(random.exponential(0.125, 4000))
        queued_s = (serve(arrivals_s, random.exponential(0.1, 4000)).end_s - arrivals_s)[200:]
        for block in covered:
            band = analysis.bootstrap_band(
                queued_s, np.mean, block=block, repetitions=100, seed=seed
            )
            covered[block] += 0.5 in band
    assert covered[1] < 30  # neighbours treated as independent: far from 95 %
    assert covered[200] > 42


def test_no_samples_have_no_bootstrap_and_quantiles_are_checked():
    with pytest.raises(EmptyRun, match="fire some load first"):
        analysis.bootstrap_band([math.nan], np.mean)
    with pytest.raises(InvalidInput, match=r"quantiles has 99"):
        analysis.percentiles([0.1], [99])


def kill_at(fault_s):
    return make_table("faults", [{"start_s": fault_s, "end_s": fault_s, "name": "kill -9"}])


def test_an_outage_is_split_into_phases_that_sum_up():
    requests = requests_at("." * 100 + "x" * 10 + "." * 100)
    requests.loc[110:139, "latency_s"] = 0.5  # cold at first
    states = [
        {"t_s": t_s, "kind": "endpoint", "name": "p", "ready": ready}
        for t_s, ready in ((-1.0, True), (10.4, False), (15.0, True))
    ]
    outages = analysis.find_outages(requests)
    split = analysis.split_outages(
        outages, requests, faults=kill_at(9.95), events=make_table("events"),
        states=make_table("states", states),
    )  # fmt: skip
    found = split.loc[0, ["detect_s", "propagate_s", "reconnect_s", "warmup_s"]].tolist()
    assert found == pytest.approx([0.45, 0.5, 0.1, 2.8], abs=0.21)
    assert sum(found[:3]) == pytest.approx(outages["end_s"][0] - 9.95)


def test_an_outage_is_noticed_by_events_where_nobody_sampled():
    requests = requests_at("." * 100 + "x" * 30 + "." * 30)
    events = make_table("events", [{"t_s": 12.0, "reason": "Unhealthy"}, {"t_s": 3, "reason": "X"}])
    split = analysis.split_outages(
        analysis.find_outages(requests), requests, faults=kill_at(10.0), events=events,
        states=make_table("states"),
    )  # fmt: skip
    assert split["detect_s"].tolist() == pytest.approx([2.5])
    assert split["warmup_s"].tolist() == [0.0]


@pytest.mark.parametrize("pattern", ["x", "xxx", "." * 30 + "x" + "." * 30])
def test_an_outage_without_a_fault_has_no_phases(pattern):
    requests = requests_at(pattern)
    split = analysis.split_outages(
        analysis.find_outages(requests), requests, faults=make_table("faults"),
        events=make_table("events"), states=make_table("states"),
    )  # fmt: skip
    assert split["detect_s"].isna().all()


def test_goodput_counts_what_came_in_time():
    requests = requests_at("." * 10 + "x" * 5 + "....." + "c")
    requests.loc[0:3, "latency_s"] = 2.0
    requests["attempts"] = 2
    table = analysis.goodput(requests, slo_s=1.0)
    assert table["offered_rps"].tolist() == [10, 10]
    assert table["attempted_rps"].tolist() == [20, 20]
    assert table["answered_rps"].tolist() == [10, 5]
    assert table["goodput_rps"].tolist() == [6, 5]
    with pytest.raises(InvalidInput, match="slo_s"):
        analysis.goodput(requests, slo_s=0)


def test_errors_are_counted_by_class():
    requests = requests_at(".x.xxc")
    requests.loc[4, "error"] = "timeout"
    found = analysis.errors(requests)
    assert found["error"].tolist() == ["reset", "timeout"]
    assert found["requests"].tolist() == [2, 1]
    assert found["share"].tolist() == pytest.approx([0.4, 0.2])


def test_amplification_is_the_mean_number_of_attempts():
    requests = requests_at("....")
    requests["attempts"] = [1, 1, 3, 3]
    band = analysis.amplification(requests)
    assert (band.low, band.value) == (pytest.approx(1.02), 2)


def test_replicas_are_counted_as_they_become_ready():
    rows = [
        {"t_s": t_s, "kind": "pod", "name": name, "ready": ready}
        for t_s, name, ready in (
            (-1, "a", True), (-1, "b", True), (3, "b", False), (4, "b", False), (9, "c", True),
        )
    ]  # fmt: skip
    found = analysis.replicas(make_table("states", rows))
    assert found["t_s"].tolist() == [-1, 3, 9]
    assert found["ready"].tolist() == [2, 1, 2]


def test_the_twin_of_an_ideal_run_is_the_run():
    random = np.random.default_rng(6)
    sent_s, service_s = np.cumsum(random.exponential(0.2, 500)), random.exponential(0.1, 500)
    served = serve(sent_s, service_s, Server(places=3))
    requests = pd.DataFrame(
        {
            "request_id": range(500), "scheduled_s": sent_s, "sent_s": sent_s,
            "done_s": served.end_s,
            "latency_s": served.end_s - sent_s, "ok": served.ok,
            "pod": np.where(served.ok, "a", ""),
            "service_s": np.where(served.ok, service_s, np.nan),
            "error": np.where(served.ok, "", "http_503"),
        }
    )  # fmt: skip
    found = analysis.twin(make_table("requests", requests), Server(places=3)).iloc[0]
    assert found["twin_mean_s"] == pytest.approx(found["mean_s"], rel=0.03)
    assert found["twin_p99_s"] == pytest.approx(found["p99_s"], rel=0.05)
    assert found["twin_refused_share"] == pytest.approx(found["refused_share"], abs=0.01)


def test_the_scalability_law_is_found_again():
    n = np.array([1, 2, 4, 8, 16, 32])
    fit = analysis.fit_usl(n, [theory.usl_rps(k, 10, 0.05, 0.002) for k in n])
    assert (fit.one_rps, fit.alpha, fit.beta) == pytest.approx((10, 0.05, 0.002))
    assert fit.peak == pytest.approx(21.8, abs=0.01)
    straight = analysis.fit_usl(n, 9.0 * n * np.array([1, 1.01, 0.99, 1, 1.02, 1.01]))
    assert (straight.alpha, straight.beta) == pytest.approx((0, 0), abs=1e-3)
    with pytest.raises(InvalidInput, match="fewer than 3"):
        analysis.fit_usl([1, 2], [1, 2])


def test_the_intervals_of_a_batch_fit_cover_what_they_claim():
    random, covered, sizes = np.random.default_rng(7), 0, np.tile([1, 2, 4, 8, 16, 32], 5)
    for _ in range(300):
        fit = analysis.fit_batch_time(sizes, 0.05 + 0.005 * sizes + random.normal(0, 0.003, 30))
        covered += (0.05 in fit.fixed_s) + (0.005 in fit.per_item_s)
    assert 0.9 <= covered / 600 <= 0.98
    with pytest.raises(InvalidInput, match="at least 3 batches"):
        analysis.fit_batch_time([1, 1], [1, 1])


NOTHING_TO_SAY = {
    "amplification": analysis.amplification,
    "availability": analysis.availability,
    "errors": analysis.errors,
    "goodput": lambda requests: analysis.goodput(requests, slo_s=1),
    "has_recovered": analysis.has_recovered,
    "parts": analysis.parts,
    "percentiles": lambda requests: analysis.percentiles(requests["latency_s"]),
    "rates": analysis.rates,
    "replicas": lambda _: analysis.replicas(make_table("states")),
    "select_judged": analysis.select_judged,
    "shares": analysis.shares,
    "twin": analysis.twin,
}


@pytest.mark.parametrize("pattern", ["", ".", "x", "xxx", "ccc"])
@pytest.mark.parametrize("name", NOTHING_TO_SAY)
def test_no_samples_one_sample_and_errors_alone_are_no_surprise(name, pattern):
    NOTHING_TO_SAY[name](requests_at(pattern))  # warnings are errors


def test_a_machine_s_fault_is_followed_until_its_pod_is_replaced():
    run = node_run("stop node", not_ready_s=7.5, given_up_s=9.5, replaced_s=14)
    (phase,) = analysis.node_phases(run.states, run.faults).to_dict("records")
    assert (phase["node"], phase["pod"], phase["next"]) == ("m1", "a", "c")
    moments = ("not_ready_s", "withdrawn_s", "given_up_s", "replaced_s")
    assert [phase[name] for name in moments] == [7.5, 7.5, 9.5, 14]
    assert math.isnan(phase["back_s"])


def test_a_machine_that_comes_back_has_lost_no_pod():
    run = node_run("pause node", not_ready_s=7.5, back_s=10)
    (phase,) = analysis.node_phases(run.states, run.faults).to_dict("records")
    assert phase["back_s"] == 10
    assert phase["next"] == ""


def test_faults_of_pods_are_no_faults_of_machines_and_nobody_need_have_watched():
    run = node_run("kill -9")
    assert analysis.node_phases(run.states, run.faults).empty
    run = node_run("stop node")
    unseen = analysis.node_phases(run.states.head(0), run.faults)
    assert unseen["node"].tolist() == [""]
