"""Charts of a Service as a whole: who answers, and how many are left without an answer."""

from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.looks import (
    draw_prediction,
    given,
    look_of,
    name_of,
    new_axes,
    ordered_roles,
    say_empty,
)
from lab_utils.charts.words import add_footnote, count, set_title
from lab_utils.runs import Run
from lab_utils.theory import Band


def shares(
    run: Run,
    *,
    by: str = "role",
    among: Iterable[str] = (),
    predicted: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw who answered which share, over the band that an even random choice would give.

    Args:
        run: The run.
        by: "role", "pod" or "node".
        among: Who might have answered: those that gave no answer are drawn at 0 %.
        predicted: Predicted share by answerer, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax, mine = new_axes(ax), given(predicted)
    found = analysis.shares(run.requests, by=by, among=among)
    if not found["requests"].any():
        return say_empty(ax, "No request of this run was answered.")
    order = ordered_roles(found[by]) if by == "role" else list(found[by])
    found = found.set_index(by).loc[order]
    low, high, expected = (100 * found.iloc[0][name] for name in ("low", "high", "expected"))
    ax.axhspan(low, high, color="#BBBBBB", alpha=0.6, lw=0)
    ax.axhline(expected, color="black", ls=":", lw=1.3)
    for at, (name, row) in enumerate(found.iterrows()):
        look = look_of(str(name) if by == "role" else "")
        ax.plot(at, 100 * row["share"], look.marker, color=look.color, ms=9, clip_on=False)
        text = f"{100 * row['share']:.1f} % ({row['requests']:,})"
        ax.annotate(
            text, (at, 100 * row["share"]), (11, 0 if row["share"] else 8),  # not on the axis
            textcoords="offset points", va="center",
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip
        if name in mine:
            draw_prediction(ax, at - 0.15, 100 * mine[str(name)])
    ax.set_xticks(range(len(found)), [_shorten(str(name), by) for name in found.index])
    ax.set_xlim(-0.5, len(found) - 0.2)
    ax.set_ylim(0, max(100 * found["share"].max(), high) * 1.25)
    ax.set_ylabel("Share of answers (%)")
    total = int(found["requests"].sum())
    set_title(ax, f"{_say_shares(found)} ({count(total)})", run)
    add_footnote(ax, run)
    return ax


def _shorten(name: str, by: str) -> str:
    """Leave the ReplicaSet's part out of a pod's name, so that several stand side by side."""
    parts = name.rsplit("-", 2)
    return f"{parts[0]}\n{parts[2]}" if by == "pod" and len(parts) == 3 else name_of(name)


def _say_shares(found: pd.DataFrame) -> str:
    if len(found) == 1:
        return f"{name_of(str(found.index[0])).capitalize()} gave every answer"
    if idle := int((found["requests"] == 0).sum()):
        return f"{idle} of {len(found)} gave no answer at all"
    verdict = "within" if found["in_band"].all() else "outside"
    return f"Shares are {verdict} the 95 % band of a random choice"


def availability(
    runs: Mapping[str, Run],
    *,
    predicted: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of requests that failed, run by run, with its 95 % interval.

    Args:
        runs: Name of each bar and its run.
        predicted: Predicted share of failures by name, drawn as an open diamond.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax, mine = new_axes(ax), given(predicted)
    found = {name: analysis.availability(run.requests) for name, run in runs.items()}
    found = {name: band for name, band in found.items() if band.value == band.value}
    if not found:
        return say_empty(ax, "There are no requests in these runs.")
    failed = [100 * (1 - band.value) for band in found.values()]
    below = [100 * (band.high - band.value) for band in found.values()]
    above = [100 * (band.value - band.low) for band in found.values()]
    ax.bar(range(len(found)), failed, 0.5, color="#BBBBBB", ec="black", lw=0.8)
    ax.errorbar(range(len(found)), failed, (below, above), fmt="none", ecolor="black", capsize=4)
    top = max(f + a for f, a in zip(failed, above, strict=True))
    for at, (name, band) in enumerate(found.items()):
        text = f"{100 * band.value:.2f} % answered"
        ax.annotate(
            text, (at, failed[at] + above[at]), (0, 5), textcoords="offset points", ha="center",
            fontsize=9,
        )  # fmt: skip
        if name in mine:
            draw_prediction(ax, at + 0.33, 100 * mine[name])
            top = max(top, 100 * mine[name])
    ax.set_xticks(range(len(found)), list(found))
    ax.set_ylim(0, top * 1.25)
    ax.set_ylabel("Failed requests (%)")
    total = sum(len(run.requests) for run in runs.values())
    hint = "; diamond: predicted" if mine else ""
    set_title(ax, f"{_say_availability(found)} ({count(total)}{hint})", *runs.values())
    return ax


def _say_availability(found: Mapping[str, Band]) -> str:
    most = max(band.value for band in found.values())
    if len(found) == 1:
        return f"{100 * most:.2f} % of the requests were answered"
    best = [name for name, band in found.items() if band.value == most]
    return f"Fewest requests lost: {', '.join(best)}"
