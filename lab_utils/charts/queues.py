"""Charts of queues: utilisation, users, batches and fleets, each over its theory."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from lab_utils.analysis import Usl
from lab_utils.charts.looks import (
    BAND,
    Look,
    draw_prediction,
    given,
    look_at,
    new_axes,
    new_panels,
    pick,
    say_empty,
)
from lab_utils.charts.words import EVERYONE, label_at_end, legend_once, set_title
from lab_utils.theory import (
    batch_rps,
    batch_s,
    closed_loop_knee,
    closed_loop_rps,
    mg1_response_s,
    mmc_response_s,
    two_choices_response_s,
    usl_rps,
)


def response(
    points: pd.DataFrame,
    *,
    service_s: float,
    servers: int = 1,
    cv: float = 1.0,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean response against utilisation: measured, its twin, theory and chance.

    Args:
        points: One row per run: rho, mean_s; and where known low_s and high_s (where chance puts
            the mean of such a run), twin_s (its trace twin), requests.
        service_s: Mean service time of the theory.
        servers: c of M/M/c.
        cv: Of the service time; other than 1 with one server is M/G/1.
        predicted: Predicted mean in seconds by rho, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "rho", "mean_s").sort_values("rho")
    if known.empty:
        return say_empty(ax, "No run has an answered request.")
    exact = servers == 1 and cv != 1.0
    rho = np.linspace(0.01, max(0.9, min(0.97, float(known["rho"].max()) + 0.02)), 200)
    curve_ms = [
        1e3 * (mg1_response_s(r, service_s, cv) if exact else mmc_response_s(r, service_s, servers))
        for r in rho
    ]
    name = f"M/G/1, cv {cv:g}" if exact else f"M/M/{servers}"
    ax.plot(rho, curve_ms, color="black", lw=1.2, label=f"theory, {name}")
    if {"low_s", "high_s"} <= set(known):
        ax.errorbar(
            known["rho"], 500 * (known["low_s"] + known["high_s"]),
            500 * (known["high_s"] - known["low_s"]), fmt="none", ecolor=BAND, elinewidth=7,
            label="95 % of such runs", zorder=0.8,
        )  # fmt: skip
    if "twin_s" in known:
        ax.plot(
            known["rho"], 1e3 * known["twin_s"], "s", mfc="none", mec="#E69F00", mew=1.6, ms=9,
            label="trace twin",
        )  # fmt: skip
    ax.plot(known["rho"], 1e3 * known["mean_s"], "o", color="#0072B2", label="measured")
    for at, mean_s in given(predicted).items():
        draw_prediction(ax, at, 1e3 * mean_s)
    shown = known[[c for c in ("mean_s", "twin_s", "high_s") if c in known]].max().max()
    ax.set_ylim(0, 1.15e3 * max(float(shown), 0.0, *given(predicted).values()))
    ax.set_xlim(0, 1)
    ax.set_xlabel("Utilisation of the slots")
    ax.set_ylabel("Mean response (ms)")
    legend_once(ax, loc="upper left")
    low, high = known.iloc[0], known.iloc[-1]
    growth = f"{low['mean_s'] * 1e3:.0f} ms at utilisation {low['rho']:.2g}"
    if len(known) > 1:
        growth = f"From {growth} to {high['mean_s'] * 1e3:.0f} ms at {high['rho']:.2g}"
    total = f"; n = {int(known['requests'].sum()):,}" if "requests" in known else ""
    runs = f"{len(known)} run{'s' if len(known) > 1 else ''}{total}"
    set_title(ax, f"{growth} ({runs})")
    return ax


def throughput(
    points: pd.DataFrame,
    *,
    service_s: float,
    think_s: float = 0.0,
    servers: int = 1,
    usl: Usl | None = None,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the throughput of a closed loop against its users, under its two bounds.

    Args:
        points: One row per run: users, rps.
        service_s: Mean service time.
        think_s: Pause of a user between answer and request.
        servers: Requests served at a time.
        usl: A fitted scalability law (analysis.fit_usl), drawn as well.
        predicted: Predicted requests a second by users, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "users", "rps").sort_values("users")
    if known.empty:
        return say_empty(ax, "No run has an answered request.")
    users = np.linspace(0, float(known["users"].max()) * 1.05 + 1, 300)
    bound = [closed_loop_rps(n, service_s, think_s, servers) for n in users]
    ax.plot(users, bound, color="black", lw=1.2, ls=":")
    ends = [(bound[-1], "bound", "black")]
    if usl is not None:
        fitted = [usl_rps(n, usl.one_rps, usl.alpha, usl.beta) if n else 0.0 for n in users]
        ax.plot(users, fitted, color=EVERYONE, lw=1.2, ls="--")
        ends.append((fitted[-1], "scalability law", EVERYONE))
    ax.plot(known["users"], known["rps"], "o", color="#0072B2")
    for n, rps in given(predicted).items():
        draw_prediction(ax, n, rps)
    top = max(max(bound), float(known["rps"].max()), 0.0, *given(predicted).values())
    ax.set_xlim(0, users[-1])
    ax.set_ylim(0, top * 1.15)
    knee = closed_loop_knee(service_s, think_s, servers)
    if knee < users[-1]:
        ax.axvline(knee, color=BAND, lw=1.2, zorder=0.5)
        ax.annotate(f"knee {knee:.3g}", (knee, 0), (4, 4), textcoords="offset points", fontsize=9)
    label_at_end(ax, ends)
    ax.set_xlabel("Users who wait for their answers")
    ax.set_ylabel("Answers per second")
    best = known.iloc[int(known["rps"].argmax())]
    law = f"; the law peaks at {usl.peak:.3g}" if usl is not None and np.isfinite(usl.peak) else ""
    set_title(
        ax,
        f"At most {best['rps']:.3g}/s, with {best['users']:.0f} users{law} (n = {len(known)} runs)",
    )
    return ax


def batching(
    points: pd.DataFrame,
    *,
    fixed_s: float,
    per_item_s: float,
    predicted: Mapping[float, float] | None = None,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw what batches give and cost: throughput above, time of a batch below, by size.

    Args:
        points: One row per size (or batch): size, rps, batch_s.
        fixed_s: a of T(b) = a + m b.
        per_item_s: m.
        predicted: Predicted requests a second by size, drawn as open diamonds.
        axes: Two axes; a new figure by default.

    Returns:
        The two axes: throughput, time.
    """
    above, below = new_panels(axes, (1.5, 1.5))
    known = pick(points, "size", "rps", "batch_s").sort_values("size")
    if known.empty:
        say_empty(below, "")
        return [say_empty(above, "There are no batches to draw."), below]
    sizes = np.linspace(1, float(known["size"].max()) * 1.05, 200)
    above.plot(sizes, [batch_rps(b, fixed_s, per_item_s) for b in sizes], color="black", lw=1.2)
    below.plot(sizes, [1e3 * batch_s(b, fixed_s, per_item_s) for b in sizes], color="black", lw=1.2)
    above.plot(known["size"], known["rps"], "o", color="#0072B2")
    below.plot(known["size"], 1e3 * known["batch_s"], "o", color="#0072B2")
    for size, rps in given(predicted).items():
        draw_prediction(above, size, rps)
    for ax in (above, below):
        ax.set_ylim(0, ax.get_ylim()[1] * 1.08)
    above.set_xlim(0, sizes[-1])
    above.axhline(1 / per_item_s, color="black", ls=":", lw=1.2)
    above.set_ylim(0, 1.15 / per_item_s)
    above.annotate(
        f"limit {1 / per_item_s:.0f}/s", (0.005, 1 / per_item_s), (0, 2), va="bottom", fontsize=9,
        xycoords=("axes fraction", "data"), textcoords="offset points",
    )  # fmt: skip
    above.set_ylabel("Throughput\n(requests/s)")
    below.set_ylabel("Time of a\nbatch (ms)")
    below.set_xlabel("Requests in a batch")
    one, most = known.iloc[0], known.iloc[-1]
    gain, cost = most["rps"] / one["rps"], most["batch_s"] / one["batch_s"]
    set_title(
        above,
        f"Batches of {most['size']:.0f}: {gain:.1f} x the throughput, {cost:.1f} x the time "
        f"(n = {len(known)}; line: {1e3 * fixed_s:.3g} + {1e3 * per_item_s:.3g} b ms)",
    )
    return [above, below]


def fleet(
    points: pd.DataFrame,
    *,
    service_s: float,
    rho: float,
    measured: pd.DataFrame | None = None,
    predicted: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean response against the size of a fleet, one line per policy.

    Args:
        points: One row per simulation: workers, policy, mean_s.
        service_s: Mean service time.
        rho: Utilisation of each worker.
        measured: The same columns, measured on real workers, drawn large; and where known low_s and
            high_s (where chance puts the mean of such a run), drawn as a grey bar.
        predicted: Predicted mean in seconds by workers, drawn as open diamonds.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes.
    """
    ax = new_axes(ax)
    known = pick(points, "workers", "policy", "mean_s").sort_values("workers")
    if known.empty:
        return say_empty(ax, "No fleet was simulated.")
    ax.set_xscale("log")
    ends, looks = [], {name: look_at(n) for n, name in enumerate(known["policy"].unique())}
    for policy, look in looks.items():
        mine = known[known["policy"] == policy]
        ax.plot(
            mine["workers"], 1e3 * mine["mean_s"], color=look.color, ls=look.line,
            marker=look.marker, ms=5, lw=1.5,
        )  # fmt: skip
        ends.append((1e3 * float(mine["mean_s"].iloc[-1]), policy.replace("_", " "), look.color))
    if measured is not None:
        _draw_real_fleets(ax, measured, looks)
    for size, mean_s in given(predicted).items():
        draw_prediction(ax, size, 1e3 * mean_s)
    limit_ms = 1e3 * two_choices_response_s(rho, service_s)
    ax.axhline(limit_ms, color="black", ls=":", lw=1.2)
    ax.annotate(
        f"power of two, no end of workers: {limit_ms:.0f} ms", (0.4, limit_ms), (0, -3),
        xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=9, va="top",
        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
    )  # fmt: skip
    ax.set_ylim(0, 1.1e3 * max(float(known["mean_s"].max()), 0.0, *given(predicted).values()))
    label_at_end(ax, ends)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_xlabel("Workers of the fleet")
    ax.set_ylabel("Mean response (ms)")
    most = known[known["workers"] == known["workers"].max()]
    worst, best = most["mean_s"].max(), most["mean_s"].min()
    say = f"{worst / best:.1f} x between the policies" if len(most) > 1 else "one policy"
    set_title(
        ax,
        f"{say[0].upper()}{say[1:]} at {most['workers'].iloc[0]:,} workers, utilisation {rho:g} "
        f"(n = {len(known)} fleets)",
    )
    return ax


def _draw_real_fleets(ax: Axes, measured: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw real workers as large marks of their policy, over what chance allows."""
    real = pick(measured, "workers", "policy", "mean_s")
    # Runs of the same size stand side by side; the axis is logarithmic.
    real["workers"] *= 1.25 ** real.groupby("workers").cumcount()
    if {"low_s", "high_s"} <= set(real):
        ax.vlines(
            real["workers"], 1e3 * real["low_s"], 1e3 * real["high_s"], color=BAND, lw=7,
            zorder=0.8, label="such a run, by chance",
        )  # fmt: skip
    for row in real.to_dict("records"):
        look = looks.get(row["policy"], look_at(len(looks)))
        ax.plot(
            row["workers"], 1e3 * row["mean_s"], look.marker, mfc=look.color, mec="black", ms=11,
            mew=1.6, ls="none", zorder=5,
        )  # fmt: skip
    ax.plot([], [], "o", mfc="none", mec="black", mew=1.6, ms=11, ls="none", label="real workers")
    legend_once(ax, loc="lower right", ncols=2)
