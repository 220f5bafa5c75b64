"""Chart of what the pods use: CPU, memory and throttling on one time axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from lab_utils.charts.looks import (
    draw_limit,
    draw_predicted_x,
    end_of,
    given,
    look_of,
    mark_faults,
    name_of,
    new_panels,
    ordered_roles,
    say_empty,
    shade_outages,
)
from lab_utils.charts.words import add_footnote, label_at_end, set_title
from lab_utils.runs import Run


@dataclass(frozen=True)
class _Panel:
    """One measure: its column, its unit on the axis, and the limit that bounds it."""

    column: str
    label: str
    per_unit: float
    limit: str | None
    limit_text: str


_PANELS = (
    _Panel("cpu_cores", "CPU\n(cores)", 1.0, "cpu_cores", "limit {:.3g} cores"),
    _Panel("memory_bytes", "Memory\n(MiB)", 2**20, "memory_bytes", "limit {:.0f} MiB"),
    _Panel("throttled_share", "Throttled\nperiods (%)", 0.01, None, ""),
)


def usage(
    run: Run, *, predicted_s: float | None = None, axes: Sequence[Axes] | None = None
) -> list[Axes]:
    """Draw CPU, memory and throttling of each pod, with its limits, faults and outages.

    Args:
        run: The run; `run.settings["limits"]` holds the limits that the sampler found.
        predicted_s: When the memory was predicted to reach its limit, drawn as an open diamond.
        axes: Three axes; a new figure by default.

    Returns:
        The three axes: CPU, memory, throttling.
    """
    panels = new_panels(axes, (1, 1, 1))
    if run.usage.empty:
        for ax in panels:
            say_empty(ax, "")
        say_empty(panels[0], "The pods were not sampled in this run.")
        return panels
    for ax, panel in zip(panels, _PANELS, strict=True):
        _draw(ax, run, panel)
    for at_s in given({0: predicted_s}).values():
        draw_predicted_x(panels[1], at_s, "s")
    panels[-1].set_xlabel("Time since the start of the run (s)")
    add_footnote(panels[-1], run)
    set_title(panels[0], _say(run.usage), run)
    return panels


def _draw(ax: Axes, run: Run, panel: _Panel) -> None:
    table = run.usage.assign(shown=run.usage[panel.column] / panel.per_unit)
    limits = _limits(run, panel)
    ax.set_xlim(min(0.0, table["t_s"].min()), max(end_of(run), 1.0))
    highest = max([table["shown"].max(), *limits] if table["shown"].notna().any() else [1, *limits])
    ax.set_ylim(0, (highest or 1.0) * 1.3)
    ends = []
    for role in ordered_roles(table["role"]):
        look = look_of(role)
        for _, pod in table[table["role"] == role].groupby("pod"):
            ax.plot(
                pod["t_s"], pod["shown"], color=look.color, ls=look.line, marker=look.marker,
                ms=3.5, lw=1.4, clip_on=False,
            )  # fmt: skip
        known = table.loc[table["role"] == role, "shown"].dropna()
        if len(known):
            ends.append((float(known.iloc[-1]), name_of(role), look.color))
    for limit in limits:
        draw_limit(ax, limit, panel.limit_text.format(limit))
    shade_outages(ax, run.outages, label=False)
    mark_faults(ax, run.faults, label=panel is _PANELS[0])
    ax.set_ylabel(panel.label)
    label_at_end(ax, ends)


def _limits(run: Run, panel: _Panel) -> list[float]:
    by_role = run.settings.get("limits", {}).values()
    return sorted(
        {limit[panel.limit] / panel.per_unit for limit in by_role if panel.limit in limit}
    )


def _say(table: pd.DataFrame) -> str:
    peak, cores = table["memory_bytes"].max() / 2**20, table["cpu_cores"].mean()
    if math.isnan(cores) or math.isnan(peak):
        return f"The pods could not be read (n = {len(table):,} samples)"
    return (
        f"{cores:.3f} cores a pod on average, at most {peak:.0f} MiB (n = {len(table):,} samples)"
    )
