"""Chart of machines and pods: who was ready when, under what the requests saw of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis
from lab_utils.charts.latency import timeline
from lab_utils.charts.looks import (
    draw_prediction,
    end_of,
    given,
    look_of,
    mark_faults,
    new_panels,
    ordered_roles,
    say_empty,
    shade_outages,
)
from lab_utils.charts.words import (
    EVERYONE,
    add_footnote,
    count,
    remove_footnotes,
    set_title,
)
from lab_utils.runs import Run

_MOMENTS = {
    "not_ready_s": ("NotReady", "node"),
    "back_s": ("Ready again", "node"),
    "given_up_s": ("given up", "pod"),
    "replaced_s": ("replaced", "next"),
}
"""Columns of analysis.node_phases(): as a reader calls them, and the column that says whose."""


@dataclass(frozen=True)
class _Life:
    """One row of the chart; spells are (start_s, end_s, ready)."""

    name: str
    role: str
    label: str
    spells: list[tuple[float, float, bool]]


def lifelines(
    run: Run,
    *,
    predicted: Mapping[str, float] | None = None,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw what the fault of a machine did: the requests, and the life of each node and pod.

    A thick bar is Ready, a thin hatched one is there and not Ready.

    Args:
        run: The run, with its states.
        predicted: Predicted seconds since the fault, by column of `analysis.node_phases`: an open
            diamond in the row of the node (not_ready_s, back_s) or of the pod.
        axes: Two axes; a new figure by default.

    Returns:
        The two axes: timeline, lives.
    """
    above, below = new_panels(axes, (1.7, 1.9))
    timeline(run, ax=above)
    lives = [] if run.requests.empty else [*_nodes(run), *_pods(run)]
    if not lives:
        return [above, say_empty(below, "The nodes and pods were not watched.")]
    above.set_xlabel("")
    remove_footnotes([above])
    rows = {life.name: row for row, life in enumerate(lives)}
    for life in lives:
        _draw_life(below, rows[life.name], life)
    below.set_yticks(range(len(lives)), [life.label for life in lives])
    below.set_ylim(len(lives) - 0.3, -0.9)
    below.grid(visible=False, axis="y")
    below.set_xlabel("Time since the start of the run (s)")
    shade_outages(below, run.outages, label=False)
    mark_faults(below, run.faults, label=False)
    told = _tell_moments(below, run, rows, given(predicted))
    add_footnote(below, run)
    set_title(above, f"{told} ({count(len(run.requests))})", run, pad=22)
    return [above, below]


def _nodes(run: Run) -> Iterator[_Life]:
    """Give the nodes that a pod was on."""
    states = run.states
    homes = set(states.loc[states["kind"] == "pod", "node"])
    mine = states[(states["kind"] == "node") & states["name"].isin(homes)]
    for number, (name, rows) in enumerate(mine.groupby("name", sort=True), 1):
        yield _Life(str(name), "", f"machine {number}", _spells(rows, end_of(run)))


def _pods(run: Run) -> Iterator[_Life]:
    pods = run.states[run.states["kind"] == "pod"]
    for role in ordered_roles(pods["role"]):
        for name, rows in pods[pods["role"] == role].groupby("name", sort=False):
            label = role if rows["t_s"].min() <= 0 else f"{role}, new"
            yield _Life(str(name), role, label, _spells(rows, end_of(run)))


def _spells(rows: pd.DataFrame, end_s: float) -> list[tuple[float, float, bool]]:
    rows = rows.sort_values("t_s")
    starts_s = rows["t_s"].clip(lower=0).tolist()
    ends_s = [*starts_s[1:], end_s]
    facts = zip(starts_s, ends_s, rows["ready"], rows["reason"], strict=True)
    return [(s, e, bool(ready)) for s, e, ready, why in facts if why != "Deleted" and e > s]


def _draw_life(ax: Axes, row: int, life: _Life) -> None:
    color = look_of(life.role).color if life.role else EVERYONE
    for start_s, end_s, ready in life.spells:
        looks: dict[str, Any] = {"color": color} if ready else {"fc": "white", "hatch": "/////"}
        ax.barh(row, end_s - start_s, 0.45 if ready else 0.2, start_s, ec=color, lw=0.8, **looks)


def _tell_moments(
    ax: Axes, run: Run, rows: Mapping[str, int], predicted: Mapping[str, float]
) -> str:
    """Mark what happened to each machine and its pods; give the sentence that says when."""
    said = []
    for phase in analysis.node_phases(run.states, run.faults).to_dict("records"):
        for moment, (what, whose) in _MOMENTS.items():
            row = rows.get(phase[whose], rows.get(phase["pod"]))
            if row is None:
                continue
            if moment in predicted:
                draw_prediction(ax, phase["start_s"] + predicted[moment], row)
            if phase[moment] == phase[moment]:
                at_s, seconds = phase["start_s"] + phase[moment], f"{phase[moment]:.1f} s"
                _write_over(ax, at_s, row, f"{what} {seconds}")
                said.append(f"{what} after {seconds}")
    text = ", ".join(said) or "no machine was missed"
    return text[0].upper() + text[1:]


def _write_over(ax: Axes, at_s: float, row: int, text: str) -> None:
    """Write over a row's bars, up to the moment it happened, or from there on near the left."""
    left, right = ax.get_xlim()
    to_left = at_s > left + 0.25 * (right - left)
    ax.annotate(
        f"{text} |" if to_left else f"| {text}", (at_s, row - 0.26), va="bottom",
        ha="right" if to_left else "left", fontsize=8, annotation_clip=False,
    )  # fmt: skip
