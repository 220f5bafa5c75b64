import math
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.model import ServiceTime, predict
from worker.settings import Settings

N = 20_000


def drawing(mean_s, distribution, cv=1.0, seed=0):
    settings = Settings(service_ms=mean_s * 1000, distribution=distribution, cv=cv, seed=seed)
    return ServiceTime.of(settings).draw


@pytest.mark.parametrize(
    ("distribution", "cv", "expected_cv"),
    [("const", 1.0, 0.0), ("exponential", 9.0, 1.0), ("lognormal", 2.0, 2.0)],
)
def test_drawn_times_have_the_mean_and_spread_asked_for(distribution, cv, expected_cv):
    draw = drawing(0.1, distribution, cv, seed=1)
    times = [draw(i) for i in range(N)]
    # Four standard errors of the mean; the spread of a heavy tail settles slower.
    assert fmean(times) == pytest.approx(0.1, rel=4 * max(expected_cv, 1e-9) / math.sqrt(N))
    assert pstdev(times) / 0.1 == pytest.approx(expected_cv, rel=0.15, abs=1e-9)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9, 0.99])
def test_exponential_times_follow_their_distribution(quantile):
    times = sorted(map(drawing(1.0, "exponential", seed=7), range(N)))
    share_below = sum(t <= -math.log(1 - quantile) for t in times) / N
    assert share_below == pytest.approx(quantile, abs=0.012)  # Kolmogorov-Smirnov at 1 %


@given(
    seed=st.integers(),
    index=st.integers(min_value=0),
    distribution=st.sampled_from(["const", "exponential", "lognormal"]),
    cv=st.floats(0, 100),
)
def test_a_time_depends_on_seed_and_index_only_and_is_a_time(seed, index, distribution, cv):
    draw = drawing(0.1, distribution, cv, seed)
    assert draw(index) == draw(index)
    assert 0 <= draw(index) < math.inf


def test_another_seed_is_another_sequence():
    first, second = (drawing(0.1, "exponential", seed=seed)(0) for seed in (1, 2))
    assert first != second


def test_the_answer_is_the_input():
    assert predict([1.0, 2.0]) == [1.0, 2.0]
