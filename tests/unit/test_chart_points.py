"""Charts of tables of points: data, theory, predictions, labels; and nothing, or one row."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from lab_utils import analysis, charts, theory
from lab_utils.errors import InvalidInput

mpl.use("Agg")
HANG = {"period_s": [2.0, 2.0], "failure_threshold": [2, 2], "timeout_s": [1.0, 1.0]}
CHARTS = {
    "amplification": (
        {"failing": [0.2, 0.9], "attempts": [1.2, 2.6]}, {"attempts": (2, 3)}, {0.5: 1.9},
    ),
    "batching": (
        {"size": [1, 8], "rps": [18.0, 88.0], "batch_s": [0.055, 0.09]},
        {"fixed_s": 0.05, "per_item_s": 0.005}, {8: 70},
    ),
    "by_limit": (
        {"limit_cores": [0.05, 0.1], "latency_s": [0.37, 0.16]}, {"work_s": 0.025}, {0.05: 0.3},
    ),
    "detection": (HANG | {"detected_s": [3.4, 4.3], "predicted_s": [3.0, 3.0]}, {}, None),
    "fan_out": (
        {"fan_out": [1, 10], "requests": [500, 500], "slow": [25, 200]}, {"one_slow": 0.05},
        {10: 0.5},
    ),
    "fleet": (
        {"workers": [4, 100], "policy": ["random", "random"], "mean_s": [0.5, 0.5]},
        {"service_s": 0.1, "rho": 0.8}, {100: 0.4},
    ),
    "load_curve": (
        {"offered_rps": [5, 20], "goodput_rps": [5, 9]}, {"capacity_rps": 10}, {20: 10},
    ),
    "phases": ({"detect_s": [1.0, 2.0], "propagate_s": [0.5, 0.5]}, {}, {"0": 4.0}),
    "policies": (
        {"policy": ["random", "power_of_two"], "requests": [400, 400], "mean_s": [0.2, 0.1],
         "p99_s": [0.9, 0.4]}, {}, {"random": 1.2},
    ),
    "response": (
        {"rho": [0.5, 0.8], "mean_s": [0.21, 0.52], "twin_s": [0.2, 0.5], "low_s": [0.1, 0.3],
         "high_s": [0.4, 0.9], "requests": [300, 480]},
        {"service_s": 0.1}, {0.8: 0.6},
    ),
    "staircase": (
        {"work_s": [0.015, 0.025], "latency_s": [0.06, 0.16]}, {"limit_cores": 0.1}, {0.025: 0.1},
    ),
    "startup": (
        {"limit_cores": [0.1, 0.2], "startup_s": [5.2, 2.6]}, {"cpu_s": 0.5}, {0.1: 6.0},
    ),
    "throughput": (
        {"users": [1, 30], "rps": [1.0, 9.8]}, {"service_s": 0.1, "think_s": 0.9}, {30: 12},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _style():
    with charts.style():
        yield
    plt.close("all")


def draw(name, rows=2, predicted=False, **change):
    points, options, guess = CHARTS[name]
    table = pd.DataFrame(points).head(rows)
    if predicted and guess is not None:
        options = options | {"predicted": guess}
    drawn = getattr(charts, name)(table, **options | change)
    return [drawn] if isinstance(drawn, Axes) else drawn


def texts(ax):
    return " | ".join([ax.get_title(loc="left"), *(text.get_text() for text in ax.texts)])


def diamonds(axes):
    return [line for ax in axes for line in ax.lines if line.get_marker() == "D"]


@pytest.mark.parametrize("name", CHARTS)
def test_a_title_says_how_many_and_axes_say_their_unit(name):
    axes = draw(name)
    assert "n = " in axes[0].get_title(loc="left")
    assert all(ax.get_ylabel() or name == "phases" for ax in axes)
    assert name == "detection" or axes[-1].get_xlabel()
    assert all(ax.get_ylim()[0] == 0 or name == "phases" for ax in axes)


@pytest.mark.parametrize("name", [name for name, (_, _, guess) in CHARTS.items() if guess])
def test_a_prediction_is_an_open_diamond_within_the_axes(name):
    assert not diamonds(draw(name))
    [diamond] = diamonds(axes := draw(name, predicted=True))
    assert diamond.get_markerfacecolor() == "white"
    [ax] = [ax for ax in axes if diamond in ax.lines]
    (x,), (y,) = diamond.get_data()
    assert ax.get_xlim()[0] <= x <= ax.get_xlim()[1]
    bottom, top = sorted(ax.get_ylim())
    assert bottom <= y <= top


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", CHARTS)
def test_no_points_are_said_and_one_is_drawn(name, rows):
    axes = draw(name, rows)
    axes[0].figure.canvas.draw()
    assert ("Nothing to show" in texts(axes[0])) is (rows == 0)


@pytest.mark.parametrize("name", CHARTS)
def test_points_without_numbers_are_nothing(name):
    points, options, _ = CHARTS[name]
    table = pd.DataFrame(points)
    number = table.columns[-1] if name != "response" else "mean_s"
    if name in ("detection", "phases"):
        table[[c for c in table if c.endswith("_s")]] = np.nan
    else:
        table[number] = np.nan
    drawn = getattr(charts, name)(table, **options)
    first = drawn if isinstance(drawn, Axes) else drawn[0]
    first.figure.canvas.draw()
    assert "Nothing to show" in texts(first)


@pytest.mark.parametrize("name", [name for name in CHARTS if name != "phases"])
def test_a_missing_column_is_named(name):
    _, options, _ = CHARTS[name]
    with pytest.raises(InvalidInput, match="points has no"):
        getattr(charts, name)(pd.DataFrame({"x": [1]}), **options)


def test_policies_are_drawn_over_where_chance_puts_them():
    bands = {"mean_low_s": 0.1, "mean_high_s": 0.3, "p99_low_s": 0.5, "p99_high_s": 1.3}
    points = pd.DataFrame(CHARTS["policies"][0]).assign(**bands)
    ax = charts.policies(points)
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert drawn["mean"] == pytest.approx([200, 100])
    assert drawn["p99"] == pytest.approx([900, 400])
    spans = {(bar.get_y(), bar.get_y() + bar.get_height()) for bar in ax.patches}
    assert spans == {(100.0, 300.0), (500.0, 1300.0)}
    assert "p99 from 400 ms (power of two) to 900 ms (random)" in texts(ax)


def test_response_draws_theory_twin_band_and_points():
    [ax] = draw("response")
    curve = next(line for line in ax.lines if line.get_label().startswith("theory"))
    at = int(np.argmin(abs(curve.get_xdata() - 0.8)))
    exact_ms = 1e3 * theory.mmc_response_s(curve.get_xdata()[at], 0.1)
    assert curve.get_ydata()[at] == pytest.approx(exact_ms)
    named = {line.get_label(): line for line in ax.lines}
    assert named["measured"].get_ydata() == pytest.approx([210, 520])
    assert named["trace twin"].get_ydata() == pytest.approx([200, 500])


def test_response_says_how_it_grows_where_there_is_more_than_one_run():
    points = pd.DataFrame(CHARTS["response"][0])
    assert "From 210 ms at utilisation 0.5 to 520 ms at 0.8" in texts(draw("response")[0])
    only = charts.response(points.head(1), service_s=0.1)
    assert "210 ms at utilisation 0.5 (1 run; n = 300)" in texts(only)


def test_response_knows_other_service_times():
    [ax] = draw("response", cv=0.0)
    assert "theory, M/G/1, cv 0" in [line.get_label() for line in ax.lines]


def test_the_staircase_has_its_envelope():
    [ax] = draw("staircase")
    [envelope] = [c for c in ax.collections if c.get_label() == "envelope of the theory"]
    outline = envelope.get_paths()[0].vertices
    tops = outline[abs(outline[:, 0] - 25) < 0.05][:, 1]
    band = theory.throttled_latency_s(0.025, 0.1)
    assert (tops.min(), tops.max()) == pytest.approx((band.low * 1e3, band.high * 1e3), abs=1)


def test_the_same_work_by_limit_has_the_envelope_of_each_limit():
    [ax] = draw("by_limit")
    mean = next(line for line in ax.lines if line.get_label() == "its mean")
    at = int(np.argmin(abs(mean.get_xdata() - 60)))
    exact_ms = 1e3 * theory.throttled_latency_s(0.025, mean.get_xdata()[at] / 1e3).value
    assert mean.get_ydata()[at] == pytest.approx(exact_ms)
    assert "25 ms of work: 370 ms at 50m" in texts(ax)


def test_phases_are_stacked_and_carry_their_prediction():
    [ax] = draw("phases")
    widths = [patch.get_width() for patch in ax.patches]
    assert widths == [1.0, 2.0, 0.5, 0.5]
    assert "1.50 s" in texts(ax)
    table = pd.DataFrame({"detect_s": [1.0]}, index=["a"])
    ax = charts.phases(table, predicted={"a": theory.Band(2.0, 1.0, 3.0)})
    assert diamonds([ax])[0].get_xdata()[0] == 2.0


def test_a_fleet_is_drawn_with_its_limit_and_what_was_measured():
    measured = pd.DataFrame(
        {"workers": [4], "policy": ["random"], "mean_s": [0.48], "low_s": [0.3], "high_s": [0.8]}
    )
    [ax] = draw("fleet", measured=measured)
    assert "power of two, no end of workers: 195 ms" in texts(ax)
    assert [
        line.get_ydata()[0]
        for line in ax.lines
        if line.get_markersize() == 11 and len(line.get_ydata())
    ] == [480]
    assert "real workers" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_throughput_shows_bound_knee_and_law():
    [ax] = draw("throughput", usl=analysis.Usl(1.0, 0.02, 0.001))
    assert "knee 10" in texts(ax)
    assert "scalability law" in texts(ax)
    assert "the law peaks at 31.3" in texts(ax)


def test_a_prediction_that_was_not_made_is_not_drawn():
    points = pd.DataFrame({"rho": [0.5, 0.8], "mean_s": [0.21, 0.52]})
    ax = charts.response(points, service_s=0.1, predicted={0.8: float("nan")})
    assert "predicted" not in [text.get_text() for text in ax.get_legend().get_texts()]
    assert np.isfinite(ax.get_ylim()).all()
