"""Charts of single requests: when, how long, and of what their time is made."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.crowds import MOST_POINTS, draw_density, thin
from lab_utils.charts.looks import (
    FAILED,
    draw_prediction,
    end_of,
    look_of,
    mark_faults,
    name_of,
    new_axes,
    ordered_roles,
    say_empty,
    shade_outages,
)
from lab_utils.charts.words import (
    EVERYONE,
    add_footnote,
    count,
    count_lost,
    label_at_end,
    set_title,
    write_beside,
)
from lab_utils.runs import Run

_MAX_BARS = 300
_PARTS = {"client": "#000000", "queue": "#7F7F7F", "service": "#D0D0D0", "overhead": "#FFFFFF"}


def timeline(
    run: Run,
    *,
    predicted: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    top_ms: float | None = None,
) -> Axes:
    """Draw every request at the time it was due: latency by role, failures, faults, outages.

    Failed requests have no latency: they stand in a row of their own above the others.

    Args:
        run: The run.
        predicted: Predicted seconds from the first fault (or failure) until all is answered again,
            drawn as a line that ends in an open diamond.
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
    highest = top_ms or 1e3 * float(np.nan_to_num(requests["latency_s"].max(), nan=1e-3))
    ax.set_xlim(0, end_of(run) * 1.02 + 0.01)
    ax.set_ylim(0, highest * 1.5)
    _draw_answers(ax, requests)
    _draw_unanswered(ax, requests, highest * 1.12)
    shade_outages(ax, run.outages)
    mark_faults(ax, run.faults)
    if predicted is not None:
        _draw_predicted_outage(ax, run, predicted)
    ax.set_xlabel("Time request was due (s)")
    ax.set_ylabel("Request latency (ms)")
    _legend_above(ax)
    set_title(ax, title or _say_timeline(run), run, pad=22)
    add_footnote(ax, run)
    return ax


def _draw_predicted_outage(ax: Axes, run: Run, predicted_s: float) -> None:
    began_s = pd.concat([run.faults["start_s"], run.outages["start_s"]]).min()
    if np.isnan(began_s + predicted_s):
        return  # nothing was predicted, or nothing has happened that could be over
    height, end_s = 0.62 * ax.get_ylim()[1], began_s + predicted_s
    ax.plot([began_s, end_s], [height, height], color="black", lw=1.4, marker="|", zorder=5)
    draw_prediction(ax, end_s, height)
    write_beside(ax, (began_s, end_s), 0.65, f"  predicted {predicted_s:.3g} s")


def _draw_answers(ax: Axes, requests: pd.DataFrame) -> None:
    ok = requests["ok"].to_numpy()
    codes, roles = pd.factorize(requests["role"].to_numpy())
    due_s, latency_ms = requests["scheduled_s"].to_numpy(), requests["latency_s"].to_numpy() * 1e3
    size = float(np.clip(6_000 / len(requests), 2, 18))
    for role in ordered_roles(str(role) for role in roles):
        mine, look = ok & (codes == list(roles).index(role)), look_of(role)
        if len(requests) > MOST_POINTS and mine.any():
            draw_density(ax, due_s[mine], latency_ms[mine], look, name_of(role))
        elif mine.any():
            ax.scatter(
                due_s[mine], latency_ms[mine], s=size, c=look.color, marker=look.marker,
                label=name_of(role), alpha=0.8, lw=0, rasterized=True,
            )  # fmt: skip


def _draw_unanswered(ax: Axes, requests: pd.DataFrame, height_ms: float) -> None:
    cut = requests["error"].to_numpy() == "cancelled"
    due_s = requests["scheduled_s"].to_numpy()
    failed_s = thin(due_s[~requests["ok"].to_numpy() & ~cut], *ax.get_xlim())
    if len(failed_s):
        ax.scatter(
            failed_s, np.full(len(failed_s), height_ms), marker="x", c=FAILED, s=24, lw=1.2,
            label="failed", zorder=3,
        )  # fmt: skip
    if cut.any():
        cut_s = thin(due_s[cut], *ax.get_xlim())
        ax.scatter(
            cut_s, np.full(len(cut_s), height_ms), marker="+", c=EVERYONE, s=24, lw=1.0,
            label="cut by the end of the run",
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
    judged = run.requests["error"].to_numpy() != "cancelled"
    lost, outages = int((judged & ~run.requests["ok"].to_numpy()).sum()), run.outages
    cut = ", run interrupted" if run.interrupted else ""
    if not lost:
        return f"Every request was answered ({count(int(judged.sum()))}{cut})"
    spans = "" if len(outages) == 1 else f" of {len(outages)} outages"
    end = "" if analysis.has_recovered(run.requests) else ", not over at the end"
    return (
        f"{count_lost(lost)} in {outages['duration_s'].sum():.2f} s{spans}{end} "
        f"({count(int(judged.sum()))}{cut})"
    )


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
    edges, below = np.arange(len(bars) + 1) * per_bar, np.zeros(len(bars))
    ends = []
    for name, color in _PARTS.items():
        height = bars[f"{name}_s"].clip(lower=0).to_numpy()
        hatch = "////" if name == "overhead" else None
        ax.stairs(
            below + height, edges, baseline=below.copy(), fill=True, fc=color, ec=EVERYONE,
            lw=0.5 if hatch else 0, hatch=hatch, label=name,
        )  # fmt: skip
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
    set_title(
        ax, f"{100 * share:.0f} % of the time is {largest} ({count(len(split))}; medians)", run
    )
    label_at_end(ax, ends)
    add_footnote(ax, run)
    return ax
