"""Charts of CPU limits: the staircase of latencies, and what a start-up takes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lab_utils.charts.looks import BAND, draw_prediction, given, new_axes, pick, say_empty
from lab_utils.charts.words import count, legend_once, set_title
from lab_utils.theory import Band, startup_s, throttled_latency_s


def staircase(
    points: pd.DataFrame,
    *,
    limit_cores: float,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw latency against the CPU work of a request under a limit, in its envelope.

    Args:
        points: One row per request: work_s (CPU seconds), latency_s.
        limit_cores: The CPU limit.
        predicted: Predicted latency in seconds by work in seconds, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "work_s", "latency_s")
    if known.empty:
        return say_empty(ax, "There are no answered requests to draw.")
    work_s = np.linspace(0, float(known["work_s"].max()) * 1.1 + 1e-4, 800)
    work_ms = work_s * 1e3
    _draw_envelope(ax, work_ms, [throttled_latency_s(max(w, 1e-9), limit_cores) for w in work_s])
    medians = _draw_requests(ax, 1e3 * known["work_s"], 1e3 * known["latency_s"])
    for work, latency_s in given(predicted).items():
        draw_prediction(ax, 1e3 * work, 1e3 * latency_s)
    ax.set_xlim(0, work_ms[-1])
    ax.set_ylim(0, None)
    ax.set_xlabel("CPU work of a request (ms)")
    ax.set_ylabel("Request latency (ms)")
    legend_once(ax, loc="upper left")
    work, median_ms = float(medians.index[-1]), float(medians.iloc[-1])
    set_title(
        ax,
        f"At {1e3 * limit_cores:.0f}m, {work:.0f} ms of work take {median_ms:.0f} ms "
        f"({count(len(known))})",
    )
    return ax


def by_limit(
    points: pd.DataFrame,
    *,
    work_s: float,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the latency of the same work against the CPU limit it runs under, in its envelope.

    Args:
        points: One row per request: limit_cores, latency_s.
        work_s: CPU seconds of each request.
        predicted: Predicted latency in seconds by limit in cores, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "limit_cores", "latency_s")
    known = known[known["limit_cores"] > 0]
    if known.empty:
        return say_empty(ax, "There are no answered requests to draw.")
    least, most = (float(known["limit_cores"].agg(end)) for end in ("min", "max"))
    limits = np.linspace(0.8 * least, 1.1 * most, 800)
    _draw_envelope(ax, 1e3 * limits, [throttled_latency_s(work_s, limit) for limit in limits])
    medians = _draw_requests(ax, 1e3 * known["limit_cores"], 1e3 * known["latency_s"])
    for limit, latency_s in given(predicted).items():
        draw_prediction(ax, 1e3 * limit, 1e3 * latency_s)
    ax.set_xticks(medians.index, [f"{limit:.0f}m" for limit in medians.index])
    ax.set_xlim(0, 1e3 * limits[-1])
    ax.set_ylim(0, None)
    ax.set_xlabel("CPU limit (millicores)")
    ax.set_ylabel("Request latency (ms)")
    legend_once(ax, loc="upper right")
    set_title(
        ax,
        f"{1e3 * work_s:.0f} ms of work: {medians.iloc[0]:.0f} ms at {medians.index[0]:.0f}m, "
        f"{medians.iloc[-1]:.0f} ms at {medians.index[-1]:.0f}m ({count(len(known))})",
    )
    return ax


def _draw_envelope(ax: Axes, x: NDArray[np.float64], bands: Sequence[Band]) -> None:
    """Draw where the theory puts latencies, and their mean."""
    low_ms, high_ms = [1e3 * band.low for band in bands], [1e3 * band.high for band in bands]
    ax.fill_between(x, low_ms, high_ms, color=BAND, alpha=0.5, lw=0, label="envelope of the theory")
    ax.plot(x, [1e3 * band.value for band in bands], color="black", lw=1.2, label="its mean")


def _draw_requests(ax: Axes, x: "pd.Series[float]", latency_ms: "pd.Series[float]") -> pd.Series:
    """Draw every request, and the median of those at the same x; give the medians."""
    ax.scatter(x, latency_ms, s=9, c="#0072B2", alpha=0.5, lw=0, label="requests", rasterized=True)
    medians = latency_ms.groupby(x).median()
    ax.plot(medians.index, medians, "_", color="black", ms=16, mew=2.2, label="median")
    return medians


def startup(
    points: pd.DataFrame,
    *,
    cpu_s: float,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw start-up times against 1 / limit: a straight line, within 30 %.

    Args:
        points: One row per start: limit_cores, startup_s.
        cpu_s: CPU seconds that a start needs.
        predicted: Predicted seconds by limit in cores, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "limit_cores", "startup_s")
    known = known[known["limit_cores"] > 0]
    if known.empty:
        return say_empty(ax, "No start was measured.")
    slowest = 1 / float(known["limit_cores"].min())
    x = np.linspace(0.01, slowest * 1.1, 200)
    line = np.array([startup_s(cpu_s, 1 / at) for at in x])
    ax.fill_between(x, 0.7 * line, 1.3 * line, color=BAND, alpha=0.5, lw=0, label="± 30 %")
    ax.plot(x, line, color="black", lw=1.2, label=f"{cpu_s:.2f} CPU-s / limit")
    ax.plot(1 / known["limit_cores"], known["startup_s"], "o", color="#0072B2", label="starts")
    for limit, took_s in given(predicted).items():
        draw_prediction(ax, 1 / limit, took_s)
    limits = sorted(set(known["limit_cores"]))
    ax.set_xticks([1 / limit for limit in limits], [f"1/{1e3 * limit:.0f}m" for limit in limits])
    ax.set_xlim(0, x[-1])
    ax.set_ylim(0, None)
    ax.set_xlabel("1 / CPU limit (millicores)")
    ax.set_ylabel("Start to ready (s)")
    legend_once(ax, loc="upper left")
    tight = known.iloc[int(known["limit_cores"].argmin())]
    same = known.loc[known["limit_cores"] == tight["limit_cores"], "startup_s"].median()
    set_title(
        ax,
        f"A start takes {same:.1f} s at {1e3 * tight['limit_cores']:.0f}m (median; "
        f"n = {len(known)} starts)",
    )
    return ax
