"""Chart of who was ready when, over what that did to the requests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.looks import (
    draw_prediction,
    end_of,
    given,
    look_of,
    name_of,
    new_panels,
    ordered_roles,
    say_empty,
)
from lab_utils.charts.outages import draw_rates
from lab_utils.charts.words import add_footnote, count, legend_once, set_title, write_beside
from lab_utils.runs import Run

_HEIGHT = 0.56
_MOMENT_S = 0.2


def readiness(
    run: Run,
    *,
    predicted: Mapping[str, float] | None = None,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw when each pod was ready, and below who answered and how many requests failed.

    Args:
        run: The run; each fault is marked at the pod of the role that it was for, or at all pods.
        predicted: Predicted seconds from a role's first fault until its pod is not ready (or
            whatever else was asked), drawn as an open diamond at that pod.
        axes: Two axes; a new figure by default.

    Returns:
        The two axes: pods, rates.
    """
    spans = _spans(run)
    pods = _order(spans)
    above, below = new_panels(axes, (0.5 + 0.32 * max(len(pods), 2), 1.4))
    if run.requests.empty:
        say_empty(below, "")
        return [say_empty(above, "There are no requests in this run."), below]
    _draw_requests(below, run)
    if not pods:
        above.annotate("the pods were not watched", (0.5, 0.5), xycoords="axes fraction")
        above.set_yticks([])
        set_title(above, f"{_say_lost(run)} ({count(len(run.requests))})", run)
        return [above, below]
    _draw_lanes(above, spans, pods)
    _draw_faults(above, run, spans, pods, given(predicted))
    hint = "; filled: ready" + ("; diamond: predicted" if given(predicted) else "")
    said = f"{_say_absence(spans, pods)}{_say_lost(run)}"
    set_title(above, f"{said} ({count(len(run.requests))}{hint})", run)
    return [above, below]


def _draw_requests(ax: Axes, run: Run) -> None:
    draw_rates(ax, replace(run, faults=run.faults[:0]))  # they are marked at the pods
    for line in ax.lines:
        if not np.size(line.get_xdata()):
            line.set_label("_nothing")  # nobody asks about failures where there are none
    legend_once(ax, loc="upper right", ncols=3, fontsize=9, columnspacing=1.0)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.3)
    ax.set_xlim(0, end_of(run) * 1.02 + 0.01)
    add_footnote(ax, run)


def _draw_lanes(ax: Axes, spans: pd.DataFrame, pods: Sequence[str]) -> None:
    for lane, name in enumerate(pods):
        mine = spans[spans["name"] == name]
        where = (lane - _HEIGHT / 2, _HEIGHT)
        color = look_of(str(mine["role"].iloc[0])).color
        ax.broken_barh(_pairs(mine), where, fc="white", ec="#7F7F7F", lw=0.8)
        ax.broken_barh(_pairs(mine[mine["ready"]]), where, color=color, lw=0)
    ax.set_yticks(range(len(pods)), _names(spans, pods))
    ax.set_ylim(len(pods) - 0.4, -0.75)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def _spans(run: Run) -> pd.DataFrame:
    """Give for each pod the spans in which it was ready or not: name, role, ready, start_s, end_s.

    A pod is there from its first row until it is deleted, or the run ends.
    """
    mine = run.states[run.states["kind"] == "pod"].sort_values("t_s", kind="stable")
    end_s = end_of(run) if len(run.requests) else 0.0
    rows: list[dict[str, Any]] = []
    for name, pod in mine.groupby("name", sort=False):
        role = next((role for role in pod["role"] if role), "")
        gone = pod["reason"] == "Deleted"
        pod = pod[(pod["ready"] != pod["ready"].shift()) | gone]  # other reasons are no change
        ends_s = [*pod["t_s"].to_list()[1:], max(end_s, float(pod["t_s"].iloc[-1]))]
        for state, until_s in zip(pod.to_dict("records"), ends_s, strict=True):
            start_s = max(state["t_s"], 0.0)
            if state["reason"] != "Deleted" and until_s > start_s:
                rows.append(
                    {"name": name, "role": role, "ready": state["ready"], "start_s": start_s,
                     "end_s": until_s}
                )  # fmt: skip
    return pd.DataFrame(rows, columns=["name", "role", "ready", "start_s", "end_s"])


def _order(spans: pd.DataFrame) -> list[str]:
    roles = ordered_roles(spans["role"])
    firsts = spans.drop_duplicates("name")
    return [name for role in roles for name in firsts.loc[firsts["role"] == role, "name"]]


def _pairs(spans: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(spans["start_s"], spans["end_s"] - spans["start_s"], strict=True))


def _names(spans: pd.DataFrame, pods: Sequence[str]) -> list[str]:
    """Name each pod by its role, and by its own last letters where there are several of one."""
    roles = spans.drop_duplicates("name").set_index("name")["role"]
    several = roles.duplicated(keep=False)
    return [name_of(roles[pod]) + (f" {pod[-5:]}" if several[pod] else "") for pod in pods]


def _draw_faults(
    ax: Axes, run: Run, spans: pd.DataFrame, pods: Sequence[str], mine: Mapping[str, float]
) -> None:
    """Mark each fault at its pod and name it once; put the predictions where they belong."""
    roles = spans.drop_duplicates("name").set_index("name")["role"]
    lanes = {str(roles[pod]): lane for lane, pod in reversed(list(enumerate(pods)))}
    faults = run.faults.sort_values("start_s")
    first = ~faults["name"].duplicated()
    for is_first, fault in zip(first, faults.to_dict("records"), strict=True):
        name = fault["name"] if is_first else ""
        if (lane := lanes.get(fault["target"])) is None:
            _draw_change(ax, fault["start_s"], name)
        else:
            _draw_fault(ax, lane, fault["start_s"], fault["end_s"], name)
    for role, fault_s in faults.groupby("target")["start_s"].min().items():
        if role in mine and role in lanes:
            draw_prediction(ax, fault_s + mine[role], lanes[role])


def _draw_fault(ax: Axes, lane: int, start_s: float, end_s: float, name: str) -> None:
    """Draw a dashed line for the moment at which it began, hatched for as long as it lasted."""
    low, high = lane - _HEIGHT / 2, lane + _HEIGHT / 2
    ends = [low - 0.1, high + 0.1]
    ax.plot([start_s] * 2, ends, color="black", lw=1.4, ls=(0, (3, 1.5)), zorder=4)
    if end_s - start_s > _MOMENT_S:
        ax.broken_barh(
            [(start_s, end_s - start_s)], (low, _HEIGHT), fc="none", ec="black", hatch="....",
            lw=0, zorder=3,
        )  # fmt: skip
    if name:
        ax.annotate(
            name, (start_s, low - 0.1), (-4, 0), textcoords="offset points", ha="right",
            va="center", fontsize=9, fontweight="bold",
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.9},
        )  # fmt: skip


def _draw_change(ax: Axes, at_s: float, name: str) -> None:
    """Mark what happened to no pod of its own: a line through all lanes."""
    ax.axvline(at_s, color="black", lw=1.2, ls=(0, (4, 2)), zorder=0.5)
    if name:
        write_beside(ax, (at_s, at_s), 0.99, name, "bold")


def _say_absence(spans: pd.DataFrame, pods: Sequence[str]) -> str:
    absent = spans[~spans["ready"]]
    away_s = (absent["end_s"] - absent["start_s"]).groupby(absent["name"]).sum()
    told = [
        f"{name} {away_s[pod]:.1f} s"
        for name, pod in zip(_names(spans, pods), pods, strict=True)
        if pod in away_s
    ]
    return f"Not ready: {', '.join(told)}; " if told else "Every pod was ready; "


def _say_lost(run: Run) -> str:
    lost = int((~analysis.select_judged(run.requests)["ok"]).sum())
    return f"{lost:,} request{'s' if lost != 1 else ''} lost"
