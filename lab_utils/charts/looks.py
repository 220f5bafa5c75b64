"""What all charts share: the stylesheet, a role's look, faults, outages, and "nothing to see"."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lab_utils.charts.alt import speak_in_notebooks
from lab_utils.charts.words import EVERYONE, write_beside
from lab_utils.errors import InvalidInput
from lab_utils.runs import Run

K = TypeVar("K")
FAILED = "black"
_STYLESHEET = Path(__file__).parents[1] / "lab.mplstyle"


@dataclass(frozen=True)
class Look:
    """How a role is drawn, in every chart alike."""

    color: str
    marker: str
    line: Any


_LOOKS = {"primary": Look("#0072B2", "o", "-"), "backup": Look("#E69F00", "s", "--")}
_THIRD = Look("#009E73", "^", "-.")
_SERIES = (
    *_LOOKS.values(), _THIRD, Look("#CC79A7", "v", ":"), Look("#000000", "P", (0, (5, 1, 1, 1))),
)  # fmt: skip
_SEEN_S = 0.2  # a fault shorter than this is a moment
BAND = "#BBBBBB"
"""Grey of bands: what chance allows, and outages."""


def use_style() -> None:
    """Use the lab's stylesheet for every figure from here on; in a notebook, with its words."""
    plt.style.use(_STYLESHEET)
    speak_in_notebooks()


def style() -> AbstractContextManager[None]:
    """Use the lab's stylesheet, whatever was set before, while the context lasts."""
    return plt.style.context(["default", _STYLESHEET])


def look_of(role: str) -> Look:
    """Give the look of a role."""
    return _LOOKS.get(role, _THIRD)


def look_at(position: int) -> Look:
    """Give the look of the n-th of several things that are no roles; five of them differ."""
    return _SERIES[position % len(_SERIES)]


def name_of(role: str) -> str:
    """Name a role for a reader; a server may not have said it."""
    return role or "no role given"


def ordered_roles(roles: Iterable[str]) -> list[str]:
    """Order roles: primary, backup, then the others by name."""
    order = list(_LOOKS)
    return sorted(set(roles), key=lambda r: (order.index(r) if r in order else len(order), r))


def new_axes(ax: Axes | None) -> Axes:
    """Give the axes to draw in: those given, or those of a new figure."""
    return plt.subplots()[1] if ax is None else ax


def new_panels(axes: Sequence[Axes] | None, heights: Sequence[float]) -> list[Axes]:
    """Give stacked panels that share their time axis: those given, or those of a new figure.

    Raises:
        ValueError: The wrong number of axes is given.
    """
    if axes is None:
        size = (7.0, 0.9 + 1.15 * sum(heights))
        ratios = {"height_ratios": heights}
        _, made = plt.subplots(len(heights), 1, sharex=True, figsize=size, gridspec_kw=ratios)
        return list(made)
    if len(axes) != len(heights):
        raise ValueError(f"axes has {len(axes)} panels: want {len(heights)}")
    return list(axes)


def end_of(run: Run) -> float:
    """Give the last moment of a run that a time axis must show, in seconds."""
    moments = [
        run.requests["scheduled_s"], run.usage["t_s"], run.faults["start_s"], run.outages["end_s"],
    ]  # fmt: skip
    return float(pd.concat(moments).max())


def say_empty(ax: Axes, what: str) -> Axes:
    """Say in the chart itself that there is nothing to draw, and why."""
    ax.set_title("Nothing to show" if what else "")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, what, ha="center", va="center", transform=ax.transAxes, color=EVERYONE)
    return ax


def shade_outages(ax: Axes, outages: pd.DataFrame, *, label: bool = True) -> None:
    """Draw each outage as a grey band; label the longest ones with their length."""
    spans = list(zip(outages["start_s"], outages["duration_s"], strict=True))
    if spans:  # one artist, however many
        ax.broken_barh(
            spans, (0, 1), transform=ax.get_xaxis_transform(), color=BAND, alpha=0.6, lw=0, zorder=0
        )
    if label:
        longest = outages.nlargest(3, "duration_s")
        # More labels than this would hide each other; the bands are all there.
        for row, outage in enumerate(longest.to_dict("records")):
            text = f"{outage['duration_s']:.2f} s, {outage['lost']} lost"
            write_beside(ax, (outage["start_s"], outage["end_s"]), 0.88 - 0.1 * row, text)


def mark_faults(ax: Axes, faults: pd.DataFrame, *, label: bool = True) -> None:
    """Draw each fault as a line at its start, named, and hatch the time it lasted."""
    for row, fault in enumerate(faults.sort_values("start_s").to_dict("records")):
        ax.axvline(fault["start_s"], color="black", lw=1.2, ls=(0, (4, 2)), zorder=1)
        if fault["end_s"] - fault["start_s"] > _SEEN_S:
            ax.axvspan(
                fault["start_s"], fault["end_s"], fc="none", ec="#999999", hatch="..", lw=0,
                alpha=0.5, zorder=0,
            )  # fmt: skip
        if label:
            at_s = fault["start_s"]
            write_beside(ax, (at_s, at_s), 0.98 - 0.1 * (row % 2), fault["name"], "bold")


def draw_limit(ax: Axes, value: float, text: str) -> None:
    """Draw a limit or an objective as a dotted line with its name."""
    ax.axhline(value, color="black", ls=":", lw=1.3)
    place: Any = (0.005, value)
    ax.annotate(
        text, place, xycoords=("axes fraction", "data"), xytext=(0, 2),
        textcoords="offset points", va="bottom", fontsize=9,
    )  # fmt: skip


def draw_limit_at(ax: Axes, x: float, text: str, *, height: float = 0.98) -> None:
    """Draw a limit on the x axis as a dotted line with its name; the x limits must be final."""
    ax.axvline(x, color="black", ls=":", lw=1.3)
    write_beside(ax, (x, x), height, text)


def given(predicted: Mapping[K, float | None] | None) -> dict[K, float]:
    """Give the predictions that were made: a learner may have left some out (None or NaN)."""
    known = {key: value for key, value in (predicted or {}).items() if value is not None}
    return {key: value for key, value in known.items() if math.isfinite(value)}


def draw_prediction(ax: Axes, x: float, y: float, *, label: str = "predicted") -> None:
    """Draw what a learner has predicted: an open diamond, the same in every chart."""
    ax.plot(
        [x], [y], "D", mfc="white", mec="black", mew=1.4, ms=8, zorder=6, clip_on=False,
        label=label, ls="none",
    )  # fmt: skip


def draw_predicted_x(ax: Axes, x: float, unit: str = "ms") -> None:
    """Draw a predicted place on the x axis: a diamond at the bottom with its number beside it."""
    ax.axvline(x, color="black", lw=0.9, ls=(0, (1, 2)), zorder=5)
    draw_prediction(ax, x, ax.get_ylim()[0])
    write_beside(ax, (x, x), 0.12, f"predicted {x:.3g} {unit}")


def pick(points: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Take the rows that have all of some columns, as numbers to draw.

    Raises:
        InvalidInput: A column is not there; names it.
    """
    if missing := [column for column in columns if column not in points]:
        raise InvalidInput(
            f"points has no {', '.join(missing)}: want the columns {', '.join(columns)}"
        )
    return points.dropna(subset=list(columns))
