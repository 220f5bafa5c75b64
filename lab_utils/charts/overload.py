"""Charts of overload and of what is done against it: goodput, retries, more replicas."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.looks import (
    draw_limit,
    draw_prediction,
    end_of,
    given,
    look_at,
    mark_faults,
    new_axes,
    new_panels,
    pick,
    say_empty,
    shade_outages,
)
from lab_utils.charts.outages import draw_ready
from lab_utils.charts.words import EVERYONE, add_footnote, count, label_at_end, set_title
from lab_utils.runs import Run
from lab_utils.theory import amplification as amplify


def goodput(
    runs: Mapping[str, Run],
    *,
    slo_s: float,
    bin_s: float = 1.0,
    predicted: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw over time what was offered and what came back within the objective.

    Args:
        runs: Name of each line and its run, under the same load and faults.
        slo_s: An answer after this is of no use, in seconds.
        bin_s: Width of a bin, in seconds.
        predicted: Predicted seconds from the end of the fault until all is well, by name; each is
            drawn as an open diamond at that time.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    tables = {
        name: analysis.goodput(run.requests, slo_s=slo_s, bin_s=bin_s) for name, run in runs.items()
    }
    tables = {name: table for name, table in tables.items() if len(table)}
    if not tables:
        return say_empty(ax, "There are no requests in these runs.")
    first = next(iter(tables))
    offered = tables[first]["offered_rps"]
    ax.stairs(
        offered, [*offered.index, offered.index[-1] + bin_s], color=EVERYONE, lw=1.0, baseline=None,
    )  # fmt: skip
    ends = [(float(offered.tail(3).mean()), "offered", EVERYONE)]
    for position, (name, table) in enumerate(tables.items()):
        look, middle = look_at(position), table.index + bin_s / 2
        every = max(1, len(table) // 12)
        ax.plot(
            middle, table["goodput_rps"], color=look.color, ls=look.line, lw=1.8,
            marker=look.marker, markevery=every,
        )  # fmt: skip
        ends.append((float(table["goodput_rps"].tail(3).mean()), name, look.color))
    ends_s = [float(table.index[-1]) + bin_s for table in tables.values()]
    ax.set_xlim(0, max([*ends_s, *runs[first].faults["start_s"]]) * 1.02)
    ax.set_ylim(0, max(1.0, *(float(t["offered_rps"].max()) for t in tables.values())) * 1.4)
    mark_faults(ax, runs[first].faults)
    for name, seconds in given(predicted).items():
        draw_prediction(
            ax, float(runs[name].faults["end_s"].max()) + seconds, float(offered.mean())
        )
    label_at_end(ax, ends)
    ax.set_xlabel("Time request was due (s)")
    ax.set_ylabel(f"Requests per second,\nanswered within {slo_s * 1e3:.0f} ms")
    shares = {
        name: float(table["goodput_rps"].sum() / table["offered_rps"].sum())
        for name, table in tables.items()
    }
    best, worst = (choose(shares, key=lambda name: shares[name]) for choose in (max, min))
    finding = f"{100 * shares[best]:.0f} % came in time" + (
        f" with {best}, {100 * shares[worst]:.0f} % with {worst}" if len(shares) > 1 else ""
    )
    total = sum(len(run.requests) for run in runs.values())
    set_title(ax, f"{finding} ({count(total)})", *runs.values())
    return ax


def load_curve(
    points: pd.DataFrame,
    *,
    capacity_rps: float | None = None,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw goodput against offered load: more asked, less answered.

    Args:
        points: One row per run: offered_rps, goodput_rps; and name, for a line each.
        capacity_rps: What the servers can do at most, drawn as a dotted line.
        predicted: Predicted goodput by offered rate, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "offered_rps", "goodput_rps").sort_values("offered_rps")
    if known.empty:
        return say_empty(ax, "There are no runs to draw.")
    names = known["name"] if "name" in known else pd.Series("goodput", index=known.index)
    right = float(known["offered_rps"].max()) * 1.08
    ax.plot([0, right], [0, right], color=EVERYONE, lw=0.9)
    ends = []
    for position, name in enumerate(names.unique()):
        mine, look = known[names == name], look_at(position)
        ax.plot(
            mine["offered_rps"], mine["goodput_rps"], color=look.color, ls=look.line,
            marker=look.marker,
        )  # fmt: skip
        ends.append((float(mine["goodput_rps"].iloc[-1]), str(name), look.color))
    for offered, good in given(predicted).items():
        draw_prediction(ax, offered, good)
    ax.set_xlim(0, right)
    top = max(float(known["goodput_rps"].max()), capacity_rps or 0.0)
    ax.set_ylim(0, max(top, 0.0, *given(predicted).values()) * 1.2)
    if capacity_rps is not None:
        draw_limit(ax, capacity_rps, f"capacity {capacity_rps:.3g}/s")
    label_at_end(ax, ends)
    ax.set_xlabel("Offered (requests/s)")
    ax.set_ylabel("Goodput (requests/s)")
    most = int(known["offered_rps"].argmax())
    last, name = known.iloc[most], names.iloc[most]
    set_title(
        ax,
        f"{last['goodput_rps']:.3g} of {last['offered_rps']:.3g}/s came in time with {name} "
        f"(n = {len(known)} runs)",
    )
    return ax


def amplification(
    points: pd.DataFrame,
    *,
    attempts: Sequence[int] = (3,),
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many attempts a request makes, against how many attempts fail.

    Args:
        points: One row per run: failing (share of attempts), attempts (mean per request); and
            low, high (its interval).
        attempts: Most attempts per request, one curve of the theory each.
        predicted: Predicted attempts by share that fails, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "failing", "attempts").sort_values("failing")
    if known.empty:
        return say_empty(ax, "There are no attempts to draw.")
    p = np.linspace(0, 1, 200)
    ends = []
    for most in attempts:
        curve = [amplify(x, most) for x in p]
        ax.plot(100 * p, curve, color="black", lw=1.2)
        ends.append((curve[-1], f"{most} attempts", "black"))
    error = None
    if {"low", "high"} <= set(known):
        error = [known["attempts"] - known["low"], known["high"] - known["attempts"]]
    ax.errorbar(
        100 * known["failing"], known["attempts"], error, fmt="o", color="#0072B2", capsize=3
    )
    for share, value in given(predicted).items():
        draw_prediction(ax, 100 * share, value)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, max(float(known["attempts"].max()), *(end[0] for end in ends)) * 1.12)
    label_at_end(ax, ends)
    ax.set_xlabel("Attempts that fail (%)")
    ax.set_ylabel("Attempts per request")
    worst = known.iloc[int(known["attempts"].argmax())]
    set_title(
        ax,
        f"{worst['attempts']:.2g} x the load when {100 * worst['failing']:.0f} % of the attempts "
        f"fail (n = {len(known)} runs)",
    )
    return ax


def autoscaling(
    run: Run,
    *,
    request_cores: float,
    target: float,
    role: str = "",
    predicted: Sequence[tuple[float, float]] = (),
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw an autoscaler at work: ready pods, CPU over its request, latency, on one time axis.

    Args:
        run: The run.
        request_cores: CPU request of a pod.
        target: Target utilisation of the request: 0.5 is 50 %.
        role: Whose pods; "" means all.
        predicted: Predicted steps: from when (s), how many replicas; drawn as a dashed line if
            all are numbers.
        axes: Three axes; a new figure by default.

    Returns:
        The three axes: replicas, utilisation, latency.
    """
    panels = new_panels(axes, (1, 1, 1))
    if run.requests.empty:
        for ax in panels:
            say_empty(ax, "")
        say_empty(panels[0], "There are no requests in this run.")
        return panels
    if role:
        states, usage = (table[table["role"] == role] for table in (run.states, run.usage))
        run = replace(run, states=states, usage=usage)
    top, middle, bottom = panels
    top.set_xlim(0, end_of(run) * 1.02 + 0.01)
    draw_ready(top, run)
    if predicted and all(math.isfinite(n) for _, n in predicted):
        steps = [*predicted, (end_of(run), predicted[-1][1])]
        top.step(*zip(*steps, strict=True), where="post", color="black", ls="--", lw=1.2)
        top.set_ylim(0, max(top.get_ylim()[1], max(n for _, n in predicted) + 0.6))
        label_at_end(top, [(predicted[-1][1], "predicted", "black")])
    used = run.usage.assign(t_s=run.usage["t_s"].round())
    mean = 100 * used.groupby("t_s")["cpu_cores"].mean().dropna() / request_cores
    middle.plot(mean.index, mean, color="#0072B2", lw=1.5)
    middle.set_ylim(0, max([100 * target, *mean]) * 1.3)
    draw_limit(middle, 100 * target, f"target {100 * target:.0f} %")
    middle.set_ylabel("CPU over\nrequest (%)")
    latency = run.requests.groupby(run.requests["scheduled_s"].floordiv(1))["latency_s"]
    ends: list[tuple[float, str, str]] = []
    for quantile, line in ((0.5, "-"), (0.95, "--")):
        found = 1e3 * latency.quantile(quantile).dropna()
        bottom.plot(found.index + 0.5, found, color="black", ls=line, lw=1.3)
        ends += [(float(value), f"p{100 * quantile:.0f}", "black") for value in found.tail(1)]
    bottom.set_ylim(0, None)
    label_at_end(bottom, ends)
    bottom.set_ylabel("Latency\n(ms)")
    bottom.set_xlabel("Time since the start of the run (s)")
    for ax in panels:
        shade_outages(ax, run.outages, label=False)
        mark_faults(ax, run.faults, label=ax is top)
    add_footnote(bottom, run)
    ready = analysis.replicas(run.states)["ready"]
    finding = f"From {ready.iloc[0]} to {ready.max()} ready pods" if len(ready) else "Not watched"
    set_title(top, f"{finding} ({count(len(run.requests))})", run)
    return panels
