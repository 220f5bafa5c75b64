"""Formulas against published numbers, recordings of a real cluster, and simulation."""

import math

import numpy as np
import pytest

from lab_utils import theory
from lab_utils.errors import InvalidInput


@pytest.mark.parametrize(
    ("servers", "offered", "published"),
    # Erlang C at 2, 5 and 10 servers; M/M/1 waits with probability rho.
    [(1, 0.8, 0.8), (2, 1.0, 1 / 3), (2, 1.6, 0.7111), (5, 4.0, 0.5541), (10, 8.0, 0.4092)],
)
def test_erlang_c_is_as_tabulated(servers, offered, published):
    assert theory.erlang_c(servers, offered) == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize(
    ("rho", "servers", "mean_ms", "p99_ms"),
    [(0.5, 1, 200, 921), (0.8, 1, 500, 2303), (0.8, 2, 278, 1194), (0.8, 4, 175, 689)],
)
def test_response_times_of_queues(rho, servers, mean_ms, p99_ms):
    assert theory.mmc_response_s(rho, 0.1, servers) * 1e3 == pytest.approx(mean_ms, abs=1)
    assert theory.mmc_quantile_s(0.99, rho, 0.1, servers) * 1e3 == pytest.approx(p99_ms, abs=1)


def test_a_queue_of_two_servers_agrees_with_simulation():
    random, n, rho = np.random.default_rng(1), 200_000, 0.7
    arrival_s = np.cumsum(random.exponential(0.1 / (2 * rho), n))
    free_s, done_s = [0.0, 0.0], np.empty(n)
    for i, service_s in enumerate(random.exponential(0.1, n)):
        first = 0 if free_s[0] <= free_s[1] else 1
        free_s[first] = done_s[i] = max(arrival_s[i], free_s[first]) + service_s
    response_s = done_s - arrival_s
    assert theory.mmc_response_s(rho, 0.1, 2) == pytest.approx(response_s.mean(), rel=0.03)
    p95_s = theory.mmc_quantile_s(0.95, rho, 0.1, 2)
    assert p95_s == pytest.approx(np.quantile(response_s, 0.95), rel=0.04)


def test_the_quantile_holds_where_waiting_and_service_drain_alike():
    exact = theory.mmc_quantile_s(0.9, 0.5, 1.0, 2)
    assert exact == pytest.approx(theory.mmc_quantile_s(0.9, 0.5 + 1e-6, 1.0, 2), rel=1e-4)


def test_an_overloaded_queue_has_no_mean():
    with pytest.raises(InvalidInput, match="grows for ever"):
        theory.mmc_response_s(1.0, 0.1, 2)


@pytest.mark.parametrize(
    ("mean", "low", "high"),
    # Quantiles of the Poisson distribution at 2.5 % and 97.5 %, as R's qpois gives them.
    [(0.0, 0, 0), (1.0, 0, 3), (10.0, 4, 17), (100.0, 81, 120)],
)
def test_poisson_bands_are_the_quantiles(mean, low, high):
    band = theory.poisson_band(mean)
    assert (band.low, band.high) == (low, high)


def test_lost_requests_agree_with_simulation():
    random = np.random.default_rng(2)
    lost = random.binomial(random.poisson(20 * 1.1, 20_000), 0.5)
    band = theory.lost_requests(20, 0.5, 1.1)
    assert band.value == pytest.approx(lost.mean(), rel=0.02)
    assert 0.95 <= np.mean([count in band for count in lost]) <= 0.99


@pytest.mark.parametrize(("n", "q"), [(20, 0.3), (600, 0.99), (900, 0.5)])
def test_ranks_enclose_the_quantile_as_often_as_binomial_probabilities_say(n, q):
    terms = [math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(n + 1)]
    low, high = theory.binomial_ranks(n, q)
    assert math.fsum(terms[low:high]) >= 0.95
    assert math.fsum(terms[low + 1 : high]) < 0.975
    assert math.fsum(terms[low : high - 1]) < 0.975


def test_ranks_of_ten_million_samples_are_as_near_as_the_normal_law_says():
    low, high = theory.binomial_ranks(10_000_000, 0.99)
    margin = 1.96 * math.sqrt(1e7 * 0.99 * 0.01)
    assert (high - low) / 2 == pytest.approx(margin, rel=0.01)


def test_wilson_intervals_are_as_published():
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for successes, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)]:
        band = theory.wilson_band(successes, n)
        assert (band.low, band.high) == pytest.approx((low, high), abs=1e-4)
    none, one = theory.wilson_band(0, 20), theory.wilson_band(1, 29)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert (one.low, one.high) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_the_share_of_random_choices():
    # Recorded on Kind: 400 new connections over two pods went 209 to 191.
    assert 209 / 400 in theory.share_band(400, 0.5)
    assert 0.6 not in theory.share_band(400, 0.5)


def test_startup_is_cpu_over_limit():
    # Recorded on Kind: 0.588 and 0.476 CPU-s took 6.8 s at 100m and 3.9 s at 200m.
    assert theory.startup_s(0.588, 0.1) == pytest.approx(6.79, rel=0.3)
    assert theory.startup_s(0.476, 0.2) == pytest.approx(3.9, rel=0.4)
    assert theory.startup_s(0.5, 4.0) == 0.5  # one thread cannot use more than one core


def test_probes_detect_within_their_bounds():
    # Recorded on Kind with probes of 2 s, 2 failures, 1 s: 3.39, 4.32 (median), 4.97 s.
    band = theory.probe_detection_s(2, 2, 1)
    assert (band.value, band.low, band.high) == (4, 3, 5)
    assert all(seen in band for seen in (3.387, 4.32, 4.965))
    assert theory.probe_detection_s(10, 3, 1).value == 26


def test_detection_bounds_hold_in_simulation():
    random, band = np.random.default_rng(3), theory.probe_detection_s(2, 2, 1)
    hang_s = random.uniform(0, 2, 10_000)  # the next probe starts at 2 s and fails at 3 s
    seen_s = 2 + 2 * 1 + 1 - hang_s
    assert band.low <= seen_s.min()
    assert seen_s.max() <= band.high
    assert seen_s.mean() == pytest.approx(band.value, rel=0.02)


def test_the_window_of_a_kill_holds_what_was_recorded():
    # Recorded on Kind: (s with failures, failed of 40 new connections/s over two pods).
    recorded = [(1.151, 28), (0.329, 7), (1.161, 20), (1.061, 26), (0.843, 22)]
    window = theory.kill_window_s()
    assert all(seen_s in window for seen_s, _ in recorded)
    assert all(lost in theory.lost_requests(40, 0.5, seen_s) for seen_s, lost in recorded)


def test_the_losses_of_a_recorded_rollout_lie_in_their_band():
    # Recorded on Kind: two pods that exit at SIGTERM, replaced at 50 new connections/s.
    lost = 42
    window_s = theory.departure_window_s()
    assert lost in theory.lost_requests(50, 2 / 3, window_s.high)
    assert lost > theory.lost_requests(50, 2 / 3, window_s.low).high


def test_phases_of_an_outage_add_up():
    switch = theory.selector_switch_s(theory.Band(1.0, 0.5, 1.5))
    assert (switch.low, switch.high) == pytest.approx((0.5, 2.6))
    assert theory.client_failover_s(0.5, 0.1) == pytest.approx(0.6)


def test_littles_law_agrees_with_a_simulated_queue():
    random = np.random.default_rng(4)
    arrival_s, done_s, free_s = np.cumsum(random.exponential(0.2, 50_000)), [], 0.0
    for due_s, service_s in zip(arrival_s, random.exponential(0.1, 50_000), strict=True):
        free_s = max(due_s, free_s) + service_s
        done_s.append(free_s)
    span_s = done_s[-1]
    events = sorted([(t, 1) for t in arrival_s] + [(t, -1) for t in done_s])
    area, inside, before_s = 0.0, 0, 0.0
    for t, step in events:
        area, inside, before_s = area + inside * (t - before_s), inside + step, t
    mean_response_s = float(np.mean(np.array(done_s) - arrival_s))
    assert theory.little(50_000 / span_s, mean_response_s) == pytest.approx(area / span_s)
