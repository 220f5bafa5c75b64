"""The words of a chart: its title, its footnote, and names beside what they name."""

import math
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from lab_utils import analysis
from lab_utils.runs import Run

EVERYONE = "#4D4D4D"
_SAMPLE_SIZE = re.compile(r"\(?n = [^ )]+( \w+\))?")  # not to be broken into lines


def set_title(ax: Axes, finding: str, *runs: Run, pad: float | None = None) -> None:
    """Write the finding over a chart; over that, why a run that it comes from is invalid."""
    invalid = [run.validity.text for run in runs if not run.validity.valid]
    if len(invalid) > 1:
        invalid = [f"{len(invalid)} of {len(runs)} runs are invalid, such as: {invalid[0]}"]
    kept = (_SAMPLE_SIZE.sub(_hold_together, line) for line in (*invalid, finding))
    lines = "\n".join(textwrap.fill(line, _width(ax)) for line in kept)
    ax.set_title(lines.replace("\u00a0", " "), pad=pad)


def _hold_together(text: "re.Match[str]") -> str:
    return text[0].replace(" ", "\u00a0")


def _width(ax: Axes) -> int:
    """Say how many characters of a title fit over an axes."""
    inches = ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi
    return max(24, int(inches * 12.8))


def count(n: int) -> str:
    """Write a sample size."""
    return f"n = {n:,}"


def count_lost(n: int) -> str:
    """Write how many requests were lost."""
    return f"{n:,} request{'' if n == 1 else 's'} lost"


def add_footnote(ax: Axes, run: Run) -> None:
    """Write under a chart what its reader has to know of the run to trust it."""
    lag_s = analysis.percentiles(run.requests["lag_s"], (0.99,))["latency_s"].iloc[0]
    lag_ms = 1e3 * run.validity.figures.get("lateness_p99_s", lag_s)
    throttled = run.usage["throttled_share"].mean()
    notes = [] if math.isnan(lag_ms) else [f"send lag p99 {lag_ms:.2g} ms"]
    notes += [] if math.isnan(throttled) else [f"throttled in {100 * throttled:.0f} % of periods"]
    notes += [f"{run.backend or 'no cluster'}, seed {run.seed}"]
    ax.annotate(
        "; ".join(notes), (1.0, 0.0), xycoords="axes fraction", xytext=(0, -33),
        textcoords="offset points", ha="right", va="top", fontsize=7.5, color=EVERYONE,
        annotation_clip=False, gid="footnote",
    )  # fmt: skip


def remove_footnotes(axes: Iterable[Axes]) -> None:
    """Take the footnotes from charts that are drawn over one that has the same."""
    for ax in axes:
        for text in [text for text in ax.texts if text.get_gid() == "footnote"]:
            text.remove()


def legend_once(ax: Axes, **options: Any) -> None:
    """Make a legend that names each kind of mark once, however often it was drawn."""
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    ax.legend(once.values(), once.keys(), **options)


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
            textcoords="offset points", va="center", fontsize=9, color=_for_text(color),
            annotation_clip=False,
        )  # fmt: skip


def _for_text(color: str) -> tuple[float, float, float]:
    """Darken a colour until letters of it can be read on white."""
    red, green, blue = to_rgb(color)
    return 0.6 * red, 0.6 * green, 0.6 * blue


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
