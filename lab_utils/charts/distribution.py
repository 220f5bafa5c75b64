"""Charts of how latencies are spread, and of what a tail does to those who need many answers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lab_utils import analysis
from lab_utils.charts.looks import (
    BAND,
    Look,
    draw_limit_at,
    draw_predicted_x,
    draw_prediction,
    given,
    look_at,
    new_axes,
    pick,
    say_empty,
)
from lab_utils.charts.words import (
    EVERYONE,
    add_footnote,
    count,
    label_at_end,
    legend_once,
    set_title,
    write_beside,
)
from lab_utils.runs import Run
from lab_utils.theory import slow_share, wilson_band
from lab_utils.theory.tails import Exceeds

_CURVE_POINTS = 2_000


def histogram(run: Run, *, predicted: float | None = None, ax: Axes | None = None) -> Axes:
    """Draw how the latencies of the answered requests are spread, with p50 and p99.

    Args:
        run: The run.
        predicted: A predicted latency in seconds, drawn as an open diamond.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    latency_ms = run.requests["latency_s"].dropna().to_numpy() * 1e3
    if not latency_ms.size:
        return say_empty(ax, "No request of this run was answered.")
    bins = min(60, max(5, int(len(latency_ms) ** 0.5) * 2))
    top = max(float(latency_ms.max()), 1e3 * (predicted or 0.0)) * 1.05
    ax.hist(latency_ms, bins=bins, range=(0, top), color=BAND, ec=EVERYONE, lw=0.5)
    ax.set_xlim(0, top)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.25)
    found = analysis.percentiles(latency_ms / 1e3, (0.5, 0.99))
    for row, line in enumerate(found.to_dict("records")):
        value, low, high = (1e3 * line[name] for name in ("latency_s", "low_s", "high_s"))
        span = "few samples" if np.isnan(low + high) else f"{low:.0f}-{high:.0f}"
        ax.axvline(value, color="black", lw=1.2, ls=("-", "--")[row])
        text = f"p{100 * line['quantile']:.0f}: {value:.0f} ms ({span})"
        write_beside(ax, (value, value), 0.98 - 0.1 * row, text)
    if predicted is not None and math.isfinite(predicted):
        draw_predicted_x(ax, predicted * 1e3)
    ax.set_xlabel("Request latency (ms)")
    ax.set_ylabel("Requests")
    p50_ms, p99_ms = found["latency_s"] * 1e3
    finding = f"Half take up to {p50_ms:.0f} ms, 99 % up to {p99_ms:.0f} ms"
    set_title(ax, f"{finding} ({count(len(latency_ms))})", run)
    add_footnote(ax, run)
    return ax


def ccdf(
    runs: Mapping[str, Run],
    *,
    theory: Mapping[str, Exceeds] | None = None,
    slo_s: float | None = None,
    predicted: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw which share of the answers took longer, on a logarithmic axis: the tail.

    Args:
        runs: Name of each curve and its run.
        theory: Exceedance by the same names (theory.exceeds_exponential, hedged, ...), drawn thin.
        slo_s: An objective, drawn as a dotted line.
        predicted: A predicted p99 in seconds, drawn as an open diamond.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    samples = {
        name: np.sort(run.requests["latency_s"].dropna().to_numpy()) * 1e3
        for name, run in runs.items()
    }
    samples = {name: known for name, known in samples.items() if known.size}
    if not samples:
        return say_empty(ax, "No request of these runs was answered.")
    most = max(known.size for known in samples.values())
    longest_ms = [float(known[-1]) for known in samples.values()]
    right = max(*longest_ms, 1e3 * (predicted or 0.0), 1e3 * (slo_s or 0.0)) * 1.05
    ax.set_yscale("log")
    ax.set_xlim(0, right)
    for position, (name, known) in enumerate(samples.items()):
        _draw_tail(ax, known, look_at(position), name)
        if theory and name in theory:
            times_ms = np.linspace(0, right, 300)
            exceeds = [100 * theory[name](t_ms / 1e3) for t_ms in times_ms]
            ax.plot(times_ms, exceeds, color="black", lw=0.8, zorder=1.8, label="theory")
    if slo_s is not None:
        height = 0.98 if slo_s * 1e3 < 0.6 * right else 0.35  # under the legend
        draw_limit_at(ax, slo_s * 1e3, f"SLO {slo_s * 1e3:.0f} ms", height=height)
    if predicted is not None and math.isfinite(predicted):
        draw_prediction(ax, predicted * 1e3, 1.0, label=f"predicted p99 {predicted * 1e3:.0f} ms")
    _label_tails(ax, lowest=float(np.clip(50 / most, 0.005, 0.5)))
    legend_once(ax, loc=_free_corner(samples.values(), right))
    p99_ms = {
        name: float(analysis.percentiles(known, (0.99,))["latency_s"].iloc[0])
        for name, known in samples.items()
    }
    set_title(ax, f"{_say_tails(p99_ms)} ({count(_count_once(runs.values()))})", *runs.values())
    return ax


def _free_corner(samples: Iterable[NDArray[np.float64]], right: float) -> str:
    """Find the corner that no curve passes: one that falls late is in the upper right."""
    late = any(np.mean(known > 0.6 * right) > 0.1 for known in samples)
    return "lower left" if late else "upper right"


def _count_once(runs: Iterable[Run]) -> int:
    """Count the answers, those of a run and of its parts once."""
    parts = [run.requests.assign(start=run.started_at) for run in runs]
    answers = pd.concat(parts).dropna(subset="latency_s")
    return len(answers[["start", "request_id"]].drop_duplicates())


def _draw_tail(ax: Axes, known_ms: NDArray[np.float64], look: Look, name: str) -> None:
    at = _curve_ranks(known_ms.size)
    times_ms, above = np.r_[0, known_ms[at - 1]], 100 * np.r_[1, 1 - at / known_ms.size]
    ax.plot(times_ms, above, color=look.color, ls=look.line, label=name, ds="steps-post")


def _label_tails(ax: Axes, lowest: float) -> None:
    ax.axhline(1, color="black", lw=0.8, ls=":")
    ax.annotate(
        "p99", (1.0, 1), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", fontsize=9,
    )  # fmt: skip
    ax.set_yticks([100, 10, 1, 0.1, 0.01], ["100", "10", "1", "0.1", "0.01"])
    ax.minorticks_off()
    ax.set_ylim(lowest, 150)
    ax.set_xlabel("Request latency (ms)")
    ax.set_ylabel("Answers that took longer (%)")


def _curve_ranks(n: int) -> NDArray[np.int64]:
    """Give the ranks that a curve of n samples is drawn through: all, or dense in the tail."""
    if n <= _CURVE_POINTS:
        return np.arange(1, n + 1)
    tail = n - np.unique(np.geomspace(1, n - 1, _CURVE_POINTS).astype(np.int64))
    return np.unique(np.append(tail, [1, n]))


def _say_tails(p99_ms: Mapping[str, float]) -> str:
    best, worst = (choose(p99_ms, key=lambda name: p99_ms[name]) for choose in (min, max))
    if len(p99_ms) == 1:
        return f"1 in 100 takes longer than {p99_ms[best]:.0f} ms"
    return f"p99 from {p99_ms[best]:.0f} ms ({best}) to {p99_ms[worst]:.0f} ms ({worst})"


def fan_out(
    points: pd.DataFrame,
    *,
    one_slow: float,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many requests are slow that wait for n answers, over the formula.

    Args:
        points: One row per n: fan_out, requests, slow (how many of them were slow).
        one_slow: Probability that one answer is slow.
        predicted: Predicted share by n, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "fan_out", "requests", "slow")
    known = known[known["requests"] > 0]
    if known.empty:
        return say_empty(ax, "There are no fanned-out requests to draw.")
    n = np.arange(1, int(known["fan_out"].max()) + 1)
    ax.plot(n, [100 * slow_share(one_slow, int(k)) for k in n], color="black", lw=1.2)
    for row in known.to_dict("records"):
        band = wilson_band(int(row["slow"]), int(row["requests"]))
        error = [[100 * (band.value - band.low)], [100 * (band.high - band.value)]]
        ax.errorbar(row["fan_out"], 100 * band.value, error, fmt="o", color="#0072B2", capsize=3)
    for size, share in given(predicted).items():
        draw_prediction(ax, size, 100 * share)
    ax.set_xlim(0, n[-1] * 1.04 + 0.5)
    ax.set_ylim(0, max(ax.get_ylim()[1], 1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_at_end(ax, [(100 * slow_share(one_slow, int(n[-1])), "theory", "black")])
    ax.set_xlabel("Answers that a request waits for")
    ax.set_ylabel("Slow requests (%)")
    last = known.iloc[int(known["fan_out"].argmax())]
    found = 100 * last["slow"] / last["requests"]
    total = int(known["requests"].sum())
    what = f"of requests that need {last['fan_out']:.0f} answers are slow"
    set_title(ax, f"{found:.0f} % {what}, at {100 * one_slow:.3g} % each ({count(total)})")
    return ax
