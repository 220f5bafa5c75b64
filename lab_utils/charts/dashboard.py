"""One page of a run: all that its tables say, on one sheet."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from lab_utils.charts.distribution import ccdf, histogram
from lab_utils.charts.latency import parts, timeline
from lab_utils.charts.looks import say_empty
from lab_utils.charts.outages import draw_rates
from lab_utils.charts.service import shares
from lab_utils.charts.usage import usage
from lab_utils.charts.words import remove_footnotes, set_title
from lab_utils.runs import Run

_PLAN = [["timeline", "timeline"], ["rates", "rates"], ["histogram", "ccdf"], ["parts", "shares"]]
_USAGE = ["cpu", "memory", "throttled"]


def dashboard(run: Run) -> dict[str, Axes]:
    """Draw everything about a run in one figure.

    Args:
        run: The run.

    Returns:
        The axes by name: timeline, rates, histogram, ccdf, parts, shares, cpu, memory, throttled.
    """
    rows: list[Any] = [*_PLAN, *([name, name] for name in _USAGE)]
    heights = [2.2, 1.2, 1.8, 1.8, 1, 1, 1]
    _, axes = plt.subplot_mosaic(rows, figsize=(11.0, 15.0), gridspec_kw={"height_ratios": heights})
    timeline(run, ax=axes["timeline"])
    _draw_rates(run, axes["rates"], axes["timeline"])
    histogram(run, ax=axes["histogram"])
    ccdf({"all answers": run}, ax=axes["ccdf"])
    parts(run, ax=axes["parts"])
    shares(run, ax=axes["shares"])
    usage(run, axes=[axes[name] for name in _USAGE])
    drawn: dict[str, Axes] = axes
    remove_footnotes(ax for name, ax in drawn.items() if name != _USAGE[-1])
    return drawn


def _draw_rates(run: Run, ax: Axes, above: Axes) -> None:
    if run.requests.empty:
        say_empty(ax, "There are no requests in this run.")
        return
    draw_rates(ax, run)
    ax.set_xlim(above.get_xlim())
    set_title(ax, "Who answered, second by second")
