"""Charts of a Service as a whole: who answers, what a failover costs, what fails."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.latency import timeline
from lab_utils.charts.looks import (
    FAILED,
    count,
    look_of,
    mark_faults,
    name_of,
    new_axes,
    new_panels,
    ordered_roles,
    say_empty,
    set_title,
    shade_outages,
)
from lab_utils.runs import Run
from lab_utils.theory import Band


def failover(run: Run, *, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Draw a failover: every request above, requests per second by who answered below.

    Args:
        run: The run.
        axes: Two axes; a new figure by default.

    Returns:
        The two axes: timeline, rates.
    """
    above, below = new_panels(axes, (2.2, 1.3))
    timeline(run, ax=above)
    if run.requests.empty:
        say_empty(below, "")
        return [above, below]
    above.set_xlabel("")
    rates = analysis.rates(run.requests)
    for role in ordered_roles(str(role) for role in rates if role != "failed"):
        look = look_of(role)
        below.stairs(
            rates[role], [*rates.index, rates.index[-1] + 1], baseline=None, lw=1.8,
            color=look.color, ls=look.line, label=name_of(role),
        )  # fmt: skip
    failing = rates["failed"][rates["failed"] > 0]
    below.plot(failing.index + 0.5, failing, "x", color=FAILED, ms=6, label="failed")
    below.set_ylim(0, rates.to_numpy().max() * 1.15)
    below.set_xlabel("Time request was due (s)")
    below.set_ylabel("Requests per\nsecond")
    shade_outages(below, run.outages, label=False)
    mark_faults(below, run.faults, label=False)
    return [above, below]


def shares(run: Run, *, by: str = "role", ax: Axes | None = None) -> Axes:
    """Draw who answered which share, over the band that an even random choice would give.

    Args:
        run: The run.
        by: "role", "pod" or "node".
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    found = analysis.shares(run.requests, by=by)
    if found.empty:
        return say_empty(ax, "No request of this run was answered.")
    order = ordered_roles(found[by]) if by == "role" else list(found[by])
    found = found.set_index(by).loc[order]
    low, high, expected = (100 * found.iloc[0][name] for name in ("low", "high", "expected"))
    ax.axhspan(low, high, color="#BBBBBB", alpha=0.6, lw=0)
    ax.axhline(expected, color="black", ls=":", lw=1.3)
    for at, (name, row) in enumerate(found.iterrows()):
        look = look_of(str(name) if by == "role" else "")
        ax.plot(at, 100 * row["share"], look.marker, color=look.color, ms=9)
        text = f"{100 * row['share']:.1f} % ({row['requests']:,})"
        ax.annotate(text, (at, 100 * row["share"]), (10, 5), textcoords="offset points")
    ax.set_xticks(range(len(found)), [name_of(str(name)) for name in found.index])
    ax.set_xlim(-0.5, len(found) - 0.2)
    ax.set_ylim(0, max(100 * found["share"].max(), high) * 1.25)
    ax.set_ylabel("Share of answers (%)")
    total = int(found["requests"].sum())
    set_title(ax, f"{_say_shares(found)} ({count(total)})")
    return ax


def _say_shares(found: pd.DataFrame) -> str:
    if len(found) == 1:
        return f"{name_of(str(found.index[0])).capitalize()} gave every answer"
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
    ax = new_axes(ax)
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
        if predicted and name in predicted:
            ax.plot(
                at + 0.33, 100 * predicted[name], "D", mfc="white", mec="black", ms=7, clip_on=False
            )
            top = max(top, 100 * predicted[name])
    ax.set_xticks(range(len(found)), list(found))
    ax.set_ylim(0, top * 1.25)
    ax.set_ylabel("Failed requests (%)")
    total = sum(len(run.requests) for run in runs.values())
    hint = "; diamond: predicted" if predicted else ""
    set_title(ax, f"{_say_availability(found)} ({count(total)}{hint})")
    return ax


def _say_availability(found: Mapping[str, Band]) -> str:
    best = max(found, key=lambda name: found[name].value)
    if len(found) == 1:
        return f"{100 * found[best].value:.2f} % of the requests were answered"
    return f"Fewest requests lost: {best}"
