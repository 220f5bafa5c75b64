"""Charts of single requests: when, how long, and of what their time is made."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.looks import (
    EVERYONE,
    FAILED,
    count,
    end_of,
    label_at_end,
    look_of,
    mark_faults,
    name_of,
    new_axes,
    ordered_roles,
    say_empty,
    set_title,
    shade_outages,
    write_beside,
)
from lab_utils.runs import Run

_MAX_BARS = 300
_PARTS = {"client": "#000000", "queue": "#7F7F7F", "service": "#D0D0D0", "overhead": "#FFFFFF"}


def timeline(
    run: Run, *, ax: Axes | None = None, title: str | None = None, top_ms: float | None = None
) -> Axes:
    """Draw every request at the time it was due: latency by role, failures, faults, outages.

    Failed requests have no latency: they stand in a row of their own above the others.

    Args:
        run: The run.
        ax: Where to draw; a new figure by default.
        title: Instead of the finding.
        top_ms: Highest latency of the axis, to compare charts.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    requests = run.requests
    if requests.empty:
        return say_empty(ax, "There are no requests in this run.")
    answered = requests[requests["ok"]]
    highest = top_ms or (float(answered["latency_s"].max() * 1e3) if len(answered) else 1.0)
    ax.set_xlim(0, end_of(run) * 1.02 + 0.01)
    ax.set_ylim(0, highest * 1.5)
    size = float(np.clip(6_000 / len(requests), 2, 18))
    for role in ordered_roles(answered["role"]):
        mine, look = answered[answered["role"] == role], look_of(role)
        ax.scatter(
            mine["scheduled_s"], mine["latency_s"] * 1e3, s=size, c=look.color, marker=look.marker,
            label=name_of(role), alpha=0.8, lw=0, rasterized=True,
        )  # fmt: skip
    _draw_unanswered(ax, requests, highest * 1.12)
    shade_outages(ax, run.outages)
    mark_faults(ax, run.faults)
    ax.set_xlabel("Time request was due (s)")
    ax.set_ylabel("Request latency (ms)")
    _legend_above(ax)
    set_title(ax, title or _say_timeline(run), pad=22)
    return ax


def _draw_unanswered(ax: Axes, requests: pd.DataFrame, height_ms: float) -> None:
    cut = requests["error"] == "cancelled"
    failed_s = requests.loc[~requests["ok"] & ~cut, "scheduled_s"]
    if len(failed_s):
        ax.scatter(
            failed_s, np.full(len(failed_s), height_ms), marker="x", c=FAILED, s=24, lw=1.2,
            label="failed", zorder=3,
        )  # fmt: skip
    if cut.any():
        ax.scatter(
            requests.loc[cut, "scheduled_s"], np.full(cut.sum(), height_ms), marker="+",
            c=EVERYONE, s=24, lw=1.0, label="cut by the end of the run",
        )  # fmt: skip


def _legend_above(ax: Axes) -> None:
    legend = ax.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=4, fontsize=9, borderpad=0.2,
        handletextpad=0.1, columnspacing=1.2,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([26])


def _say_timeline(run: Run) -> str:
    judged = analysis.select_judged(run.requests)
    lost, outages = int((~judged["ok"]).sum()), run.outages
    cut = ", run interrupted" if run.interrupted else ""
    if not lost:
        return f"Every request was answered ({count(len(judged))}{cut})"
    spans = "" if len(outages) == 1 else f" of {len(outages)} outages"
    end = "" if analysis.has_recovered(run.requests) else ", not over at the end"
    return (
        f"{lost:,} requests lost in {outages['duration_s'].sum():.2f} s{spans}{end} "
        f"({count(len(judged))}{cut})"
    )


def histogram(run: Run, *, ax: Axes | None = None) -> Axes:
    """Draw how the latencies of the answered requests are spread, with p50 and p99.

    Args:
        run: The run.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    latency_ms = run.requests["latency_s"].dropna() * 1e3
    if latency_ms.empty:
        return say_empty(ax, "No request of this run was answered.")
    bins = min(60, max(5, int(len(latency_ms) ** 0.5) * 2))
    top = float(latency_ms.max()) * 1.05
    ax.hist(latency_ms, bins=bins, range=(0, top), color="#BBBBBB", ec=EVERYONE, lw=0.5)
    ax.set_xlim(0, top)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.25)
    found = analysis.percentiles(run.requests["latency_s"], (0.5, 0.99))
    for row, line in enumerate(found.to_dict("records")):
        value, low, high = (1e3 * line[name] for name in ("latency_s", "low_s", "high_s"))
        span = "few samples" if np.isnan(low + high) else f"{low:.0f}-{high:.0f}"
        ax.axvline(value, color="black", lw=1.2, ls=("-", "--")[row])
        text = f"p{100 * line['quantile']:.0f}: {value:.0f} ms ({span})"
        write_beside(ax, (value, value), 0.98 - 0.1 * row, text)
    ax.set_xlabel("Request latency (ms)")
    ax.set_ylabel("Requests")
    p50_ms, p99_ms = found["latency_s"] * 1e3
    set_title(
        ax,
        f"Half take up to {p50_ms:.0f} ms, 99 % up to {p99_ms:.0f} ms ({count(len(latency_ms))})",
    )
    return ax


def parts(run: Run, *, ax: Axes | None = None) -> Axes:
    """Draw what each answered request's time is made of, stacked, in the order they were sent.

    Args:
        run: The run; with many requests each bar is the mean of some that follow each other.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    split = analysis.parts(run.requests)
    if split.empty:
        return say_empty(ax, "No request of this run was answered.")
    split_ms = split[[f"{name}_s" for name in _PARTS]] * 1e3
    per_bar = -(-len(split) // _MAX_BARS)
    bars = split_ms.groupby(np.arange(len(split)) // per_bar).mean()
    at, below = bars.index.to_numpy() * per_bar + per_bar / 2, np.zeros(len(bars))
    ends = []
    for name, color in _PARTS.items():
        height = bars[f"{name}_s"].clip(lower=0).to_numpy()
        hatch = "////" if name == "overhead" else None
        ax.bar(at, height, per_bar, below, color=color, ec=EVERYONE, lw=0, hatch=hatch)
        median = split_ms[f"{name}_s"].median()
        ends.append((below[-1] + height[-1] / 2, f"{name} {median:.1f} ms", "black"))
        below += height
    ax.set_xlim(0, len(split))
    ax.set_ylim(0, below.max() * 1.1)
    ax.set_xlabel("Answered requests, in the order sent")
    ax.set_ylabel("Request latency (ms)")
    total_ms = {name: float(split_ms[f"{name}_s"].sum()) for name in _PARTS}
    largest = max(total_ms, key=lambda name: total_ms[name])
    share = total_ms[largest] / sum(total_ms.values())
    set_title(ax, f"{100 * share:.0f} % of the time is {largest} ({count(len(split))}; medians)")
    label_at_end(ax, ends)
    return ax
