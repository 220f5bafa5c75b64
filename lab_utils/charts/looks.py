"""What all charts share: the stylesheet, a role's look, faults, outages, and "nothing to see"."""

import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lab_utils.runs import Run

EVERYONE = "#4D4D4D"
FAILED = "black"
_STYLESHEET = Path(__file__).parents[1] / "lab.mplstyle"


@dataclass(frozen=True)
class Look:
    """How a role is drawn, in every chart alike."""

    color: str
    marker: str
    line: str


_LOOKS = {"primary": Look("#0072B2", "o", "-"), "backup": Look("#E69F00", "s", "--")}
_THIRD = Look("#009E73", "^", "-.")


def use_style() -> None:
    """Use the lab's stylesheet for every figure from here on."""
    plt.style.use(_STYLESHEET)


def style() -> AbstractContextManager[None]:
    """Use the lab's stylesheet, whatever was set before, while the context lasts."""
    return plt.style.context(["default", _STYLESHEET])


def look_of(role: str) -> Look:
    """Give the look of a role."""
    return _LOOKS.get(role, _THIRD)


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
    for outage in outages.to_dict("records"):
        ax.axvspan(outage["start_s"], outage["end_s"], color="#BBBBBB", alpha=0.6, lw=0, zorder=0)
    if label:
        longest = outages.nlargest(3, "duration_s")
        # More labels than this would hide each other; the bands are all there.
        for row, outage in enumerate(longest.to_dict("records")):
            text = f"{outage['duration_s']:.2f} s, {outage['lost']} lost"
            write_beside(ax, (outage["start_s"], outage["end_s"]), 0.88 - 0.1 * row, text)


def mark_faults(ax: Axes, faults: pd.DataFrame, *, label: bool = True) -> None:
    """Draw each fault as a line at its start, named."""
    for row, fault in enumerate(faults.sort_values("start_s").to_dict("records")):
        ax.axvline(fault["start_s"], color="black", lw=1.2, ls=(0, (4, 2)), zorder=1)
        if label:
            at_s = fault["start_s"]
            write_beside(ax, (at_s, at_s), 0.98 - 0.1 * (row % 2), fault["name"], "bold")


def write_beside(
    ax: Axes, span: tuple[float, float], height: float, text: str, weight: str = "normal"
) -> None:
    """Write next to a span of the x axis, on the side with more room.

    Args:
        ax: Its x limits must be final.
        span: Its two ends, in data units.
        height: How high, as a share of the axes.
        text: What.
        weight: Of the font.
    """
    left, right = ax.get_xlim()
    to_left = span[1] > left + 0.7 * (right - left)
    ax.annotate(
        text,
        (span[0] if to_left else span[1], height),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if to_left else 4, 0),
        textcoords="offset points",
        ha="right" if to_left else "left",
        va="top",
        fontsize=9,
        fontweight=weight,
        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
    )


def draw_limit(ax: Axes, value: float, text: str) -> None:
    """Draw a limit or an objective as a dotted line with its name."""
    ax.axhline(value, color="black", ls=":", lw=1.3)
    place: Any = (0.005, value)
    ax.annotate(
        text, place, xycoords=("axes fraction", "data"), xytext=(0, 2),
        textcoords="offset points", va="bottom", fontsize=9,
    )  # fmt: skip


def label_at_end(ax: Axes, ends: Iterable[tuple[float, str, str]]) -> None:
    """Write names at the right edge, each near its height, none over another.

    Args:
        ax: Its y limits must be final.
        ends: (height in data units, name, colour).
    """
    low, high = ax.get_ylim()
    room = 13 / (ax.get_window_extent().height * 72 / ax.figure.dpi) * (high - low)
    heights: list[float] = []
    for height, _, _ in (ends := sorted(ends)):
        heights.append(max(height, heights[-1] + room if heights else height))
    # What had to move up is shared, as far as the axis allows.
    moved = sum(at - end[0] for at, end in zip(heights, ends, strict=True)) / max(len(ends), 1)
    down = min(moved, heights[0] - low) if heights else 0.0
    for at, (_, name, color) in zip(heights, ends, strict=True):
        ax.annotate(
            name, (1.0, at - down), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=9, color=color,
            annotation_clip=False,
        )  # fmt: skip


def set_title(ax: Axes, finding: str, pad: float | None = None) -> None:
    """Write the finding over a chart, in two lines if it is long."""
    ax.set_title(textwrap.fill(finding, 68), pad=pad)


def count(n: int) -> str:
    """Write a sample size."""
    return f"n = {n:,}"
