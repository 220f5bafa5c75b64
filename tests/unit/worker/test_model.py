import math
import re
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.jobs import Pace, Work
from worker.model import ServiceTime, TimeModel
from worker.settings import InvalidSettings, Settings

N = 20_000


def drawing(mean_s, distribution, cv=1.0, seed=0):
    settings = Settings(service_ms=mean_s * 1000, distribution=distribution, cv=cv, seed=seed)
    return ServiceTime.of(settings).draw


@pytest.mark.parametrize(
    ("distribution", "cv", "expected_cv"),
    [
        ("const", 1.0, 0.0),
        ("exponential", 9.0, 1.0),
        ("lognormal", 2.0, 2.0),
        ("bimodal", 9.0, 27 / 19),
    ],
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


def test_a_slow_share_takes_slow_factor_times_as_long():
    times = [ServiceTime.of(Settings(distribution="bimodal")).draw(i) for i in range(N)]
    fast_s, slow_s = sorted(set(times))
    assert slow_s == pytest.approx(10 * fast_s)
    assert times.count(slow_s) / N == pytest.approx(0.1, abs=0.01)


def test_a_trace_is_replayed_by_index_over_and_over(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("t,service_ms\n0,5\n1,20\n2,10\n")
    times = ServiceTime.of(Settings(distribution="trace", trace=str(trace)))
    assert [times.draw(index) for index in range(4)] == [0.005, 0.02, 0.01, 0.005]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "No such file"),
        ("", "wanted at least one service_ms"),
        ("ms\n5\n", "no column 'service_ms'"),
        ("service_ms\nfast\n", "could not convert"),
        ("service_ms\nnan\n", "each from 0"),
        ("service_ms\n-1\n", "each from 0"),
        ("t,service_ms\n1\n", "float() argument"),
    ],
)
def test_a_trace_that_cannot_be_used_is_named_with_the_reason(tmp_path, text, says):
    trace = tmp_path / "trace.csv"
    if text is not None:
        trace.write_text(text)
    with pytest.raises(InvalidSettings, match=f"WORKER_TRACE=.*{re.escape(says)}"):
        ServiceTime.of(Settings(distribution="trace", trace=str(trace)))


@pytest.mark.parametrize(
    ("alone_s", "together_s"),
    [([0.055], 0.055), ([0.055] * 8, 0.09), ([0.055] * 32, 0.21), ([0.02, 0.1], 0.1)],
)
def test_a_batch_takes_a_plus_m_b(alone_s, together_s):
    model = TimeModel.of(Settings(service_ms=55, batch_base_ms=50))
    assert model.batch_s(alone_s) == pytest.approx(together_s)


def test_a_text_takes_its_prefill_and_one_token_after_the_other():
    model = TimeModel.of(Settings(prefill_ms=40, prompt_token_ms=0.5, token_ms=10))
    work = Work(prompt_tokens=20, output_tokens=11)
    assert model.pace(work, 0) == Pace(pytest.approx(0.15), pytest.approx(0.05), 0.01)


def test_a_text_varies_by_the_drawn_time_or_takes_what_was_asked_for():
    model = TimeModel.of(Settings(distribution="exponential", prefill_ms=50, token_ms=10))
    drawn = model.pace(Work(output_tokens=6), 3)
    assert drawn.service_s == pytest.approx(model.times.draw(3))  # 50 + 5 * 10 ms is the mean
    asked = model.pace(Work(service_s=0.2, output_tokens=6), 3)
    assert asked == Pace(pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0.02))
