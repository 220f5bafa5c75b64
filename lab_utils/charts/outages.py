"""Charts of outages: the failover itself, its phases, who noticed when, and what a rollout lost."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lab_utils import analysis
from lab_utils.charts.latency import timeline
from lab_utils.charts.looks import (
    BAND,
    FAILED,
    draw_limit,
    draw_prediction,
    end_of,
    look_of,
    mark_faults,
    name_of,
    new_axes,
    new_panels,
    ordered_roles,
    pick,
    say_empty,
    shade_outages,
)
from lab_utils.charts.words import (
    add_footnote,
    count,
    count_lost,
    legend_once,
    remove_footnotes,
    set_title,
)
from lab_utils.runs import Run
from lab_utils.theory import Band, probe_detection_s

_PHASES = {"detect": "#000000", "propagate": "#6E6E6E", "reconnect": "#B4B4B4", "warmup": "#FFFFFF"}
_MORE = ("#000000", "#6E6E6E", "#B4B4B4", "#FFFFFF")
_SHORT_S = 20.0  # in bins of a second a run of six has hardly a shape


def failover(
    run: Run, *, predicted: float | None = None, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Draw a failover: every request above, requests per second by who answered below.

    Args:
        run: The run.
        predicted: Predicted seconds until all is answered again, as in timeline().
        axes: Two axes; a new figure by default.

    Returns:
        The two axes: timeline, rates.
    """
    above, below = new_panels(axes, (2.2, 1.3))
    timeline(run, predicted=predicted, ax=above)
    if run.requests.empty:
        say_empty(below, "")
        return [above, below]
    above.set_xlabel("")
    remove_footnotes([above])
    draw_rates(below, run)
    add_footnote(below, run)
    return [above, below]


def draw_rates(ax: Axes, run: Run) -> None:
    """Draw requests per second by who answered, and crosses for those that failed."""
    rates = analysis.rates(run.requests)
    if rates.empty:
        return
    for role in ordered_roles(str(role) for role in rates if role != "failed"):
        look = look_of(role)
        ax.stairs(
            rates[role], [*rates.index, rates.index[-1] + 1], baseline=None, lw=1.8,
            color=look.color, ls=look.line, label=name_of(role),
        )  # fmt: skip
    failing = rates["failed"][rates["failed"] > 0]
    ax.plot(failing.index + 0.5, failing, "x", color=FAILED, ms=6, label="failed")
    ax.set_ylim(0, max(float(rates.to_numpy().max()), 1.0) * 1.15)
    ax.set_xlabel("Time request was due (s)")
    ax.set_ylabel("Requests per\nsecond")
    shade_outages(ax, run.outages, label=False)
    mark_faults(ax, run.faults, label=False)


def phases(
    failovers: Mapping[str, Run] | pd.DataFrame,
    *,
    predicted: Mapping[str, Band | float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what each failover's time is made of, one bar each, over the predicted range.

    Args:
        failovers: Name of each bar and its run, of which the longest outage is drawn; or a table
            with a name per row (index) and seconds in columns that end in _s, in order.
        predicted: Time to the end of the outage by name, without warm-up: a range is drawn as a
            bracket with a diamond at its value, a learner's number in seconds as a diamond.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    runs = () if isinstance(failovers, pd.DataFrame) else tuple(failovers.values())
    table = failovers if isinstance(failovers, pd.DataFrame) else _longest(failovers)
    table = table.dropna(how="all")
    if table.empty:
        return say_empty(ax, "No outage was explained by a fault.")
    at, left = np.arange(len(table)), np.zeros(len(table))
    for position, column in enumerate(table):
        name, width = str(column).removesuffix("_s"), table[column].fillna(0).to_numpy()
        color = _PHASES.get(name, _MORE[position % len(_MORE)])
        hatch = "////" if color == "#FFFFFF" else None
        ax.barh(at, width, 0.5, left, color=color, ec="black", lw=0.8, hatch=hatch, label=name)
        left += width
    right = float(left.max())
    for row, name in enumerate(table.index):
        guess = (predicted or {}).get(str(name), math.nan)
        band = guess if isinstance(guess, Band) else Band(guess, guess, guess)
        if math.isfinite(band.value):
            ax.plot([band.low, band.high], [row + 0.37] * 2, "|-", color="black", lw=1.4, ms=8)
            draw_prediction(ax, band.value, row + 0.37)
            right = max(right, band.high)
        ax.annotate(
            f"{left[row]:.2f} s", (left[row], row), (5, 0), textcoords="offset points",
            va="center", fontsize=9,
        )  # fmt: skip
    ax.set_yticks(at, [str(name) for name in table.index])
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_xlim(0, right * 1.15 + 1e-6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.set_xlabel("Time since the fault (s)")
    legend_once(
        ax, loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=len(table.columns) + 1,
        fontsize=9, columnspacing=1.0, handlelength=1.2, handletextpad=0.4,
    )  # fmt: skip
    shortest = str(table.index[int(np.argmin(left))])
    finding = f"Shortest: {shortest}, {left.min():.2f} s" if len(table) > 1 else f"{left[0]:.2f} s"
    bars = f"{len(table)} outage{'s' if len(table) > 1 else ''}"
    set_title(ax, f"{finding} (n = {bars})", *runs, pad=22)
    return ax


def _longest(runs: Mapping[str, Run]) -> pd.DataFrame:
    rows = {
        name: run.outages.nlargest(1, "duration_s").iloc[0]
        for name, run in runs.items()
        if len(run.outages)
    }
    columns = [f"{phase}_s" for phase in _PHASES]
    return pd.DataFrame(rows).T.reindex(columns=columns).astype(float)


def detection(points: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how long hangs stayed unnoticed, over what each probe's settings predict.

    Args:
        points: One row per hang: period_s, failure_threshold, timeout_s (the probe's), detected_s;
            and predicted_s where a learner has predicted it.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    settings = ["period_s", "failure_threshold", "timeout_s"]
    known = pick(points, *settings, "detected_s")
    if known.empty:
        return say_empty(ax, "No hang was noticed.")
    ticks, inside, top = [], 0, 0.0
    for at, (probe, mine) in enumerate(known.groupby(settings)):
        period_s, threshold, timeout_s = np.array(probe, dtype=float).tolist()
        band = probe_detection_s(period_s, int(threshold), timeout_s)
        ax.bar(at, band.high - band.low, 0.6, band.low, color=BAND, lw=0, zorder=0.8)
        ax.plot([at - 0.3, at + 0.3], [band.value] * 2, color="black", lw=1.2)
        spread = np.linspace(-0.15, 0.15, len(mine)) if len(mine) > 1 else np.zeros(1)
        ax.plot(at + spread, mine["detected_s"], "o", color="#0072B2")
        if "predicted_s" in mine and mine["predicted_s"].notna().any():
            draw_prediction(ax, at + 0.42, float(mine["predicted_s"].dropna().iloc[-1]))
            top = max(top, float(mine["predicted_s"].max()))
        inside += int(mine["detected_s"].between(band.low, band.high).sum())
        top = max(top, band.high, float(mine["detected_s"].max()))
        failures = f"{threshold:g} failure{'s' if threshold != 1 else ''}"
        ticks.append(f"every {period_s:g} s,\n{failures},\ntime-out {timeout_s:g} s")
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set_xlim(-0.6, len(ticks) - 0.4)
    ax.set_ylim(0, top * 1.1)
    ax.set_ylabel("Time until noticed (s)")
    set_title(
        ax,
        f"{inside} of {len(known)} hangs noticed as predicted: (F - 1) T + τ to F T + τ "
        f"(n = {len(known)})",
    )
    return ax


def rollout(
    run: Run, *, least_ready: float = math.nan, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Draw what a change lost: failed requests per second above, ready pods below.

    In bins of a second, of half a second where the run is short.

    Args:
        run: The run.
        least_ready: Predicted fewest ready pods, drawn as a dotted line.
        axes: Two axes; a new figure by default.

    Returns:
        The two axes: failures, capacity.
    """
    above, below = new_panels(axes, (1.5, 1.2))
    if run.requests.empty:
        say_empty(below, "")
        return [say_empty(above, "There are no requests in this run."), below]
    bin_s = 1.0 if end_of(run) > _SHORT_S else 0.5
    rates = analysis.rates(run.requests, bin_s=bin_s)
    failed, middle_s = rates["failed"], rates.index + bin_s / 2
    above.bar(middle_s, failed, 0.9 * bin_s, color="black", label="failed")
    above.plot(middle_s, rates.sum(axis=1), color="#4D4D4D", lw=1.0, label="offered")
    above.set_ylim(0, max(float(rates.sum(axis=1).max()) if len(rates) else 0.0, 1.0) * 1.2)
    above.set_xlim(0, end_of(run) * 1.02 + 0.01)
    above.set_ylabel("Requests per\nsecond")
    above.legend(loc="upper right", ncols=2)
    mark_faults(above, run.faults)
    ready = draw_ready(below, run)
    mark_faults(below, run.faults, label=False)
    if math.isfinite(least_ready):
        draw_limit(below, least_ready, f"predicted: never below {least_ready:g}")
    below.set_xlabel("Time since the start of the run (s)")
    add_footnote(below, run)
    lost = int((~analysis.select_judged(run.requests)["ok"]).sum())
    lowest = (
        f", never below {ready} ready pod{'s' if ready != 1 else ''}" if ready is not None else ""
    )
    set_title(above, f"{count_lost(lost)}{lowest} ({count(len(run.requests))})", run)
    return [above, below]


def draw_ready(ax: Axes, run: Run) -> int | None:
    """Draw how many pods are ready over time.

    Returns:
        The fewest within the run; None where nobody watched.
    """
    found = analysis.replicas(run.states)
    ax.set_ylabel("Ready pods")
    if found.empty:
        ax.annotate("the pods were not watched", (0.5, 0.5), xycoords="axes fraction", ha="center")
        ax.set_yticks([])
        return None
    found = found.sort_values("t_s")
    end_s = max(end_of(run), float(found["t_s"].max()))
    times = [*found["t_s"].clip(lower=0), end_s]
    ax.step(times, [*found["ready"], found["ready"].iloc[-1]], where="post", color="#0072B2")
    ax.set_ylim(0, float(found["ready"].max()) + 0.6)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    started = found[found["t_s"] <= 0]
    within = found[found["t_s"] > 0]["ready"]
    first: list[int] = [int(started["ready"].iloc[-1])] if len(started) else []
    lowest: int = min([*first, *within.tolist()])
    return lowest
