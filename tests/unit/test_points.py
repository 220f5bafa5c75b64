"""The points that curves over several runs are drawn from."""

from dataclasses import replace

import numpy as np
import pytest

from lab_utils import analysis, theory
from lab_utils.arrivals import Bursts, describe
from lab_utils.errors import InvalidInput
from lab_utils.simulation import simulate_fleet
from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run


def ideal_run(rate_rps, *, seconds=200, service_s=0.1, slow=1.0, seed=1):
    """Make the run of an ideal M/M/1 server, or of one that takes `slow` times as long."""
    random = np.random.default_rng(seed)
    sent_s = np.cumsum(random.exponential(1 / rate_rps, int(rate_rps * seconds)))
    takes_s = random.exponential(service_s, len(sent_s))
    free_s, rows = 0.0, []
    for at_s, take_s in zip(sent_s, takes_s, strict=True):
        free_s = max(at_s, free_s) + take_s * slow
        rows.append({
            "scheduled_s": at_s, "sent_s": at_s, "done_s": free_s, "latency_s": free_s - at_s,
            "ok": True, "pod": "a", "role": "primary", "service_s": take_s,
        })  # fmt: skip
    return simple_run(rows, settings={"rate_rps": rate_rps, "loop": "open"})


def test_points_are_in_order_of_utilisation_with_twin_theory_and_band():
    points = analysis.response_points([ideal_run(8.0), ideal_run(5.0)], service_s=0.1)
    assert list(points["rho"]) == pytest.approx([0.5, 0.8])
    assert list(points["theory_s"]) == pytest.approx([0.2, 0.5])
    assert (points["twin_s"] - points["mean_s"]).abs().max() < 1e-6
    assert points["mean_s"].between(points["low_s"], points["high_s"]).all()


def test_the_flow_equals_what_is_in_the_system():
    points = analysis.response_points([ideal_run(8.0)], service_s=0.1)
    assert points.loc[0, "in_system"] == pytest.approx(points.loc[0, "flow"], rel=0.01)


def test_a_server_slower_than_it_says_is_not_its_twin():
    points = analysis.response_points([ideal_run(5.0, slow=1.3)], service_s=0.1)
    assert points.loc[0, "mean_s"] > 1.2 * points.loc[0, "twin_s"]


def test_a_run_without_answers_is_a_point_without_numbers():
    run = simple_run([{"ok": False}], settings={"rate_rps": 5.0, "loop": "open"})
    points = analysis.response_points([run], service_s=0.1)
    assert points.loc[0, "requests"] == 0
    assert np.isnan(points.loc[0, "mean_s"])


def test_users_points_count_answers_a_second():
    rows = [{"sent_s": k, "done_s": k + 0.5, "latency_s": 0.5, "ok": True} for k in range(10)]
    run = simple_run(rows, settings={"users": 3, "loop": "closed"})
    points = analysis.users_points([run])
    assert points.loc[0, ["users", "requests"]].tolist() == [3, 10]
    assert points.loc[0, "rps"] == pytest.approx(10 / 9.5)


def page_run(latencies_s, sizes=(1, 3), **about):
    """Make a run of parts, a page a second; None has failed."""
    rows = [
        {"request_id": n, "scheduled_s": n, "done_s": n + (late_s or 0), "ok": late_s is not None}
        for n, late_s in enumerate(latencies_s)
    ]
    schedule = make_table("schedule", rows)
    settings = {"arrivals": describe(Bursts(sizes))}
    return replace(simple_run(rows, settings=settings, **about), schedule=schedule)


def test_a_page_is_as_slow_as_the_slowest_of_its_parts():
    found = analysis.pages(page_run([0.5, 0.1, 5.0, 0.1, 0.2]))
    assert found.to_dict("list") == {
        "page": [0, 1, 2], "fan_out": [1, 3, 1], "latency_s": pytest.approx([0.5, 6.0, 0.2]),
    }  # fmt: skip


def test_pages_are_counted_by_size_and_one_that_misses_a_part_is_slow():
    points = analysis.fan_out_points(page_run([0.1, 0.1, None, 0.1, 0.2]), slow_s=4)
    counts = points[["fan_out", "requests", "slow"]]
    assert counts.to_dict("list") == {"fan_out": [1, 3], "requests": [2, 1], "slow": [0, 1]}


def test_a_page_that_the_end_of_the_run_has_cut_says_nothing():
    assert list(analysis.pages(page_run([0.1, 0.1, 0.1]))["page"]) == [0]


def test_a_run_without_pages_says_how_to_ask_for_them():
    with pytest.raises(InvalidInput, match=r"arrivals=lab\.arrivals\.Bursts"):
        analysis.pages(ideal_run(5.0, seconds=2))


def test_work_points_know_the_limit_each_request_met():
    rows = [{"role": role, "latency_s": 0.1, "ok": role != "gone"} for role in ("a", "b", "gone")]
    limits = {"a": {"cpu_cores": 0.05}, "b": {}}
    run = simple_run(rows, settings={"service_ms": 25.0, "limits": limits})
    points = analysis.work_points([run])
    assert points["role"].tolist() == ["a", "b"]
    assert points["work_s"].tolist() == [0.025, 0.025]
    assert points["limit_cores"].tolist() == [0.05, pytest.approx(np.nan, nan_ok=True)]


def test_no_runs_are_no_work_points():
    assert list(analysis.work_points([])) == ["role", "limit_cores", "work_s", "latency_s"]


def fleet_run(policy, *, workers=2, n=300, slower=1.0):
    """Make the run of ideal workers under a policy, as the simulation plays it."""
    services_s = np.random.default_rng(3).exponential(0.1, n)
    latency_s = slower * simulate_fleet(workers, 0.8, services_s, policy=policy, requests=n, seed=9)
    rows = [
        {"scheduled_s": k, "sent_s": k, "done_s": k + took_s, "latency_s": took_s, "ok": True,
         "pod": f"pod-{k % workers}", "service_s": service_s}
        for k, (took_s, service_s) in enumerate(zip(latency_s, services_s, strict=True))
    ]  # fmt: skip
    rate_rps = 0.8 * workers / services_s.mean()
    return simple_run(rows, settings={"rate_rps": rate_rps, "balance": policy})


def test_real_workers_that_are_ideal_lie_in_the_band_of_their_simulation():
    found = analysis.measured_fleets([fleet_run("random"), fleet_run("power_of_two", workers=4)])
    assert found["workers"].to_list() == [2, 4]
    assert found["policy"].to_list() == ["random", "power_of_two"]
    assert found["mean_s"].between(found["low_s"], found["high_s"]).all()


def test_workers_that_are_slower_than_they_say_lie_outside():
    [row] = analysis.measured_fleets([fleet_run("random", slower=3.0)]).to_dict("records")
    assert row["mean_s"] > row["high_s"]


def test_a_fleet_that_answered_nothing_is_a_row_without_numbers():
    [row] = analysis.measured_fleets([simple_run([{"ok": False}])]).to_dict("records")
    assert row["requests"] == 0
    assert np.isnan(row["mean_s"])


def test_simulated_fleets_are_a_row_for_each_size_and_policy():
    found = analysis.simulated_fleets((2, 8), 0.8, [0.1], policies=("random", "round_robin"))
    assert found["workers"].to_list() == [2, 2, 8, 8]
    means_s = found.set_index(["workers", "policy"])["mean_s"]
    assert means_s[8, "random"] == pytest.approx(theory.mg1_response_s(0.8, 0.1, cv=0), rel=0.05)
    assert means_s[8, "round_robin"] < means_s[2, "round_robin"] < means_s[2, "random"]


def batched_run(size, batches, *, takes_s=0.13):
    """Make the run of full batches one after the other, and one of a single request before."""
    first = {"done_s": 0.05, "ok": True, "batch_size": 1, "service_s": 0.05}
    full = [
        {"done_s": 0.05 + takes_s * (k + 1), "ok": True, "batch_size": size, "service_s": takes_s}
        for k in range(batches)
        for _ in range(size)
    ]
    return simple_run([first, *full], settings={"loop": "closed"})


def test_batch_points_count_full_batches_from_the_first_answer_to_the_last():
    points = analysis.batch_points({16: batched_run(16, 5), 4: batched_run(4, 5, takes_s=0.07)})
    assert points["size"].tolist() == [4, 16]
    assert points["rps"].tolist() == pytest.approx([4 / 0.07, 16 / 0.13])
    assert points["batch_s"].tolist() == pytest.approx([0.07, 0.13])


def test_a_size_that_no_batch_reached_is_a_point_without_numbers():
    points = analysis.batch_points({32: batched_run(16, 5)})
    assert points.loc[0, "requests"] == 0
    assert np.isnan(points.loc[0, "rps"])


def test_attempts_per_request_are_set_against_the_share_that_fails():
    requests = [{"request_id": n, "attempts": n % 2 + 1, "ok": True} for n in range(4)]
    attempts = [{"ok": n >= 2} for n in range(6)]
    run = replace(simple_run(requests), attempts=make_table("attempts", attempts))
    [point] = analysis.amplification_points([run]).to_dict("records")
    assert (point["failing"], point["attempts"], point["requests"]) == (
        pytest.approx(1 / 3), 1.5, 4,
    )  # fmt: skip
    assert point["low"] < 1.5 < point["high"]
