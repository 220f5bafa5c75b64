"""Schedules: reproducible, of the shape that was asked for, and refused by name."""

import json

import numpy as np
import pytest

from lab_utils.arrivals import (
    Bursts,
    Flat,
    Ramp,
    Sine,
    Steps,
    Trace,
    describe,
    make_schedule,
    recall,
)
from lab_utils.errors import InvalidInput
from lab_utils.validity import ks_distance

SHAPES = {
    "steps": Steps((1, 2, 4)),
    "pause": Steps((1, 0, 1)),
    "ramp": Ramp(0, 2),
    "down": Ramp(2, 0),
    "sine": Sine(1.0, period_s=7),
}


@pytest.mark.parametrize("arrivals", ["poisson", *SHAPES.values()], ids=["poisson", *SHAPES])
def test_the_schedule_follows_from_the_seed_bit_for_bit(arrivals):
    first, again, other = (make_schedule(arrivals, 200.0, 20.0, seed) for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first[:10], other[:10])
    assert 0 <= first.min() < first.max() < 20.0
    assert (np.diff(first) >= 0).all()


@pytest.mark.parametrize("shape", [Flat(), *SHAPES.values()], ids=["flat", *SHAPES])
def test_gaps_are_exponential_on_the_time_in_which_the_rate_is_one(shape):
    schedule = make_schedule(shape, 500.0, 40.0, 1)
    gaps = np.diff(500.0 * shape.cumulate(schedule, 40.0))
    expected = 500.0 * float(shape.cumulate(np.array([40.0]), 40.0)[0])
    assert ks_distance(gaps) < 1.63 / len(gaps) ** 0.5  # Kolmogorov's 1 % critical value
    assert len(schedule) == pytest.approx(expected, abs=4 * expected**0.5)


def test_constant_arrivals_are_evenly_spaced():
    assert list(make_schedule("constant", 4.0, 1.0, 1)) == [0.0, 0.25, 0.5, 0.75]


def test_steps_can_be_a_metronome_of_changing_pace():
    schedule = make_schedule(Steps((1, 0, 2), gaps="constant"), 2.0, 6.0, 1)
    assert list(schedule) == pytest.approx([0.0, 0.5, 1.0, 1.5, 4.0, 4.25, 4.5, 4.75, *range(5, 6),
                                            5.25, 5.5, 5.75])  # fmt: skip


def test_bursts_send_the_parts_of_each_page_together():
    schedule = make_schedule(Bursts((1, 3), apart_s=0.01), 2.0, 1.5, 1)
    assert list(schedule) == pytest.approx([0.0, 0.5, 0.51, 0.52, 1.0])
    assert recall(json.loads(json.dumps(describe(Bursts((1, 3)))))) is None


def test_a_ramp_and_a_sine_put_the_requests_where_the_rate_is_high():
    ramp = make_schedule(Ramp(0, 2), 1000.0, 10.0, 3)
    sine = make_schedule(Sine(1.0, period_s=10), 1000.0, 10.0, 3)
    assert (ramp < 5).mean() == pytest.approx(1 / 4, abs=0.02)
    assert (sine < 5).mean() == pytest.approx(0.5 + 1 / np.pi, abs=0.02)


@pytest.mark.parametrize("arrivals", ["constant", *SHAPES.values()], ids=["word", *SHAPES])
def test_a_shape_is_recalled_from_the_settings_of_a_saved_run(arrivals):
    recalled = recall(json.loads(json.dumps(describe(arrivals))))
    assert recalled == (Flat(gaps="constant") if arrivals == "constant" else arrivals)


@pytest.mark.parametrize(
    "text",
    [
        "t_s\n0.1\n0.5\n",
        "id,scheduled_s\n7,0.1\n8,0.5\n",
        "0.1\n0.5\n",
        "\ufefft_s\r\n0.1\r\n0.5\r\n",
    ],
    ids=["t_s", "scheduled_s", "bare", "byte order mark"],
)
def test_a_trace_is_read_from_its_column(tmp_path, text):
    (tmp_path / "trace.csv").write_text(text, encoding="utf-8")
    trace = Trace(tmp_path / "trace.csv")
    assert list(make_schedule(trace, None, None, 1)) == [0.1, 0.5]
    assert list(make_schedule(trace, None, 0.5, 1)) == [0.1]
    assert recall(describe(trace)) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t_s\n0.5\n0.1\n", "line 3: 0.1: want a time from 0.5 on"),
        ("t_s\n0.5\nx\n", "line 3: 'x': want a time in seconds"),
        ("t_s\n-1\n", "line 2: '-1': want a time in seconds"),
        ("t_s\nnan\n", "line 2: 'nan': want a time in seconds"),
        ("a,b\n1,2\n", "line 1: 'a,b': want a column scheduled_s or t_s"),
        ("", "line 1: '': want a column"),
    ],
)
def test_a_trace_that_cannot_be_used_says_in_which_line(tmp_path, text, said):
    (tmp_path / "trace.csv").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        Trace(tmp_path / "trace.csv").read()


def test_a_trace_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nowhere\.csv cannot be read"):
        Trace(tmp_path / "nowhere.csv").read()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Steps(()), r"factors is \(\): want factors"),
        (lambda: Steps((1, -1)), "factors is"),
        (lambda: Steps((0, 0)), "factors is"),
        (lambda: Steps((1, float("nan"))), "factors is"),
        (lambda: Ramp(0, 0), "start and end is"),
        (lambda: Bursts(()), r"sizes is \(\): want parts"),
        (lambda: Bursts((1, 0)), "a size of Bursts is 0"),
        (lambda: Bursts((1,), apart_s=-1), "apart_s is -1"),
        (lambda: make_schedule(Bursts((20,)), 60.0, 1.0, 1), "they would overlap"),
        (lambda: Sine(1.5, period_s=1), "amplitude is 1.5"),
        (lambda: Sine(0.5, period_s=0), "period_s is 0"),
        (lambda: Steps((1,), gaps="normal"), "gaps is 'normal'"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_when_it_is_made(make, said):
    with pytest.raises(InvalidInput, match=said):
        make()
