"""Simulated servers and fleets, against cases by hand, exact theory and published numbers."""

import numpy as np
import pytest

from lab_utils import theory
from lab_utils.errors import InvalidInput
from lab_utils.simulation import Server, serve, simulate_fleet
from lab_utils.simulation.fleet import _MANY, _LeastOutstanding, _OneByOne, _TwoChoices

POOL_S = np.random.default_rng(3).exponential(0.1, 200_000)
POOL_S /= POOL_S.mean() / 0.1


def test_last_come_first_served_starts_the_youngest():
    served = serve([0, 0.1, 0.2, 0.3], [1, 1, 1, 1], Server(order="lifo"))
    assert served.start_s.tolist() == [0, 3, 2, 1]


def test_the_order_of_service_changes_the_tail_and_not_the_mean():
    random = np.random.default_rng(1)
    arrivals_s, services_s = np.cumsum(random.exponential(0.125, 50_000)), POOL_S[:50_000]
    fifo_s, lifo_s = (
        serve(arrivals_s, services_s, Server(order=order)).end_s - arrivals_s
        for order in ("fifo", "lifo")
    )
    assert lifo_s.mean() == pytest.approx(fifo_s.mean(), rel=0.05)
    assert np.quantile(lifo_s, 0.99) > 1.5 * np.quantile(fifo_s, 0.99)


def test_who_has_waited_beyond_the_deadline_is_dropped_before_service():
    served = serve([0, 0.1, 0.2, 0.9], [1, 1, 1, 1], Server(deadline_s=0.85))
    assert served.ok.tolist() == [True, False, True, False]
    assert served.start_s[2] == 1.0


def test_a_full_queue_refuses():
    served = serve([0, 0.1, 0.2, 0.3, 1.5], [1] * 5, Server(places=1))
    assert served.ok.tolist() == [True, True, False, False, True]


def test_a_batch_starts_when_it_is_full_or_has_waited():
    server = Server(batch_most=3, batch_wait_s=0.5, batch_base_s=0.9)
    served = serve([0.0, 0.1, 0.2, 5.0, 5.1], [1.0] * 5, server)
    assert served.batch_size.tolist() == [3, 3, 3, 2, 2]
    assert served.start_s.tolist() == [0.2] * 3 + [5.5] * 2
    assert served.end_s == pytest.approx([1.4] * 3 + [6.6] * 2)


def test_servers_and_arrivals_that_make_no_sense_are_refused():
    with pytest.raises(InvalidInput, match="not in order"):
        serve([1, 0], [1, 1])
    with pytest.raises(InvalidInput, match="order is 'random'"):
        Server(order="random")
    with pytest.raises(InvalidInput, match="slots is 0"):
        Server(slots=0)
    assert serve([], []).ok.size == 0


@pytest.mark.parametrize(
    ("policy", "mean_ms", "p99_ms"),
    [
        ("random", 499, 2355),
        ("round_robin", 328, 1477),
        ("power_of_two", 231, 930),
        ("least_outstanding", 197, 859),
    ],
)
def test_four_workers_are_as_the_course_says(policy, mean_ms, p99_ms):
    response_s = simulate_fleet(4, 0.8, POOL_S, policy=policy, requests=400_000)
    assert response_s.mean() * 1e3 == pytest.approx(mean_ms, rel=0.06)
    assert np.quantile(response_s, 0.99) * 1e3 == pytest.approx(p99_ms, rel=0.09)


@pytest.mark.parametrize(
    ("policy", "expected_s"),
    [
        ("random", theory.mmc_response_s(0.7, 0.1)),
        ("round_robin", theory.round_robin_response_s(0.7, 0.1, 500)),
        ("power_of_two", theory.two_choices_response_s(0.7, 0.1)),
        ("least_outstanding", 0.1),
    ],
)
def test_a_large_fleet_comes_near_its_limit(policy, expected_s):
    response_s = simulate_fleet(500, 0.7, POOL_S, policy=policy, requests=400_000)
    assert response_s[50_000:].mean() == pytest.approx(expected_s, rel=0.04)


@pytest.mark.parametrize(
    ("whole_groups", "looks"), [(_TwoChoices, 2), (_LeastOutstanding, 8)], ids=["two", "least"]
)
def test_placing_groups_is_placing_one_by_one(whole_groups, looks):
    random = np.random.default_rng(2)
    arrivals_s = np.cumsum(random.exponential(0.1 / (0.9 * 8), 40_000))
    services_s = POOL_S[:40_000]
    means_s = [
        (place(arrivals_s, services_s, np.random.default_rng(1)) - arrivals_s).mean()
        for place in (whole_groups(8), _OneByOne(8, looks))
    ]
    assert means_s[0] == pytest.approx(means_s[1], rel=0.1)
    assert _MANY > 8


def test_queues_longer_than_remembered_at_first_are_counted():
    random = np.random.default_rng(2)
    burst_s = np.zeros(500) + 1e-9 * np.arange(500)
    for place in (_TwoChoices(10), _LeastOutstanding(10)):
        ends_s = place(burst_s, np.ones(500), random)
        assert ends_s.max() == pytest.approx(50, abs=4)  # 50 each, nobody has many more


def test_a_fleet_is_repeatable_and_says_what_it_cannot_do():
    once, again = (
        simulate_fleet(100, 0.5, POOL_S, policy="power_of_two", requests=9999) for _ in range(2)
    )
    assert (once == again).all()
    for bad in ({"workers": 0}, {"rho": 1.0}, {"policy": "best"}, {"services_s": []}):
        with pytest.raises(InvalidInput, match=next(iter(bad))):
            simulate_fleet(**{"workers": 2, "rho": 0.5, "services_s": POOL_S} | bad)
