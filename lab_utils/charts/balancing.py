"""Chart of how long each way of choosing among pods lets requests wait."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from lab_utils.charts.looks import (
    BAND,
    Look,
    draw_prediction,
    given,
    look_at,
    new_axes,
    pick,
    say_empty,
)
from lab_utils.charts.words import legend_once, set_title

_FIGURES = {"mean": -0.14, "p99": 0.14}


def policies(
    points: pd.DataFrame, *, predicted: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw mean and p99 of runs with different policies, over where chance puts them.

    Args:
        points: One row per run: policy, mean_s, p99_s; and where known requests, and the bands
            mean_low_s, mean_high_s, p99_low_s, p99_high_s (analysis.policy_points).
        predicted: Predicted p99 in seconds by policy, drawn as an open diamond.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax, mine = new_axes(ax), given(predicted)
    known = pick(points, "policy", "mean_s", "p99_s").reset_index(drop=True)
    if known.empty:
        return say_empty(ax, "No request of these runs was answered.")
    names = [str(name).replace("_", " ") for name in known["policy"]]
    for position, figure in enumerate(_FIGURES):
        _draw_figure(ax, known, figure, look_at(position))
    for at, policy in enumerate(known["policy"]):
        if policy in mine:
            draw_prediction(ax, at + 0.36, 1e3 * mine[policy])
    ax.set_xticks(range(len(known)), names)
    ax.set_xlim(-0.5, len(known) - 0.4)
    ax.set_ylim(0, 1.08 * max(ax.get_ylim()[1], *(1e3 * s for s in mine.values()), 0.0))
    ax.set_xlabel("How the client chooses a pod")
    ax.set_ylabel("Response (ms)")
    legend_once(ax, loc="upper right", ncols=4, fontsize=9, columnspacing=1.0)
    p99_ms = dict(zip(names, 1e3 * known["p99_s"], strict=True))
    best, worst = (choose(names, key=lambda name: p99_ms[name]) for choose in (min, max))
    said = f"p99 from {p99_ms[best]:.0f} ms ({best}) to {p99_ms[worst]:.0f} ms ({worst})"
    total = f"; n = {int(known['requests'].sum()):,}" if "requests" in known else ""
    set_title(ax, f"{said} ({len(known)} run{'s' if len(known) > 1 else ''}{total})")
    return ax


def _draw_figure(ax: Axes, known: pd.DataFrame, figure: str, look: Look) -> None:
    """Draw the mean or the p99 of every policy, with its band and its number."""
    places, value_ms = known.index + _FIGURES[figure], 1e3 * known[f"{figure}_s"]
    if {f"{figure}_low_s", f"{figure}_high_s"} <= set(known):
        low_ms, high_ms = 1e3 * known[f"{figure}_low_s"], 1e3 * known[f"{figure}_high_s"]
        ax.bar(
            places, high_ms - low_ms, 0.2, low_ms, color=BAND, lw=0, zorder=0.8,
            label="99 % of such runs",
        )  # fmt: skip
    ax.plot(places, value_ms, look.marker, color=look.color, label=figure)
    for x, y in zip(places, value_ms, strict=True):
        ax.annotate(f"{y:.0f}", (x, y), (7, 0), textcoords="offset points", va="center", fontsize=9)
