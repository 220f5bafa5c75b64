"""Charts of a class: how predictions spread around what was measured, and who is stuck where."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from lab_utils.charts.looks import BAND, new_axes, say_empty
from lab_utils.charts.words import legend_once, set_title

_VERDICTS = {"passed": ("#0072B2", ""), "failed": ("black", "xxx"), "unknown": (BAND, "...")}


def spread(standing: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw every prediction over what was measured; 1 is right, 2 twice as much.

    Args:
        standing: As `lab.progress()` gives it for one learner, or the pooled table of a class.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes: one row per check, a logarithmic axis.
    """
    ax = new_axes(ax)
    known = standing.dropna(subset=["predicted", "measured", "off_by"])
    if known.empty:
        return say_empty(ax, "No prediction has been measured yet.")
    under = known["predicted"] < known["measured"]
    ratio = np.where(under, 1 / known["off_by"], known["off_by"])
    checks = list(dict.fromkeys(known["check"]))
    at = known["check"].map({check: -place for place, check in enumerate(checks)}).to_numpy(float)
    same = known.groupby("check").cumcount().to_numpy()
    nudge = 0.05 * ((same + 1) // 2) * np.where(same % 2, 1, -1)  # fans out what falls together
    ax.axvspan(0.5, 2, color=BAND, alpha=0.4, lw=0, label="within a factor of 2")
    ax.axvline(1, color="black", lw=1)
    ax.plot(
        ratio, at + np.clip(nudge, -0.3, 0.3), "D", mfc="white", mec="black", mew=1.2, ls="none",
        label="predicted",
    )  # fmt: skip
    ax.set_xscale("log")
    reach = max(4.0, float(np.abs(np.log2(ratio)).max()) + 0.5)
    ax.set_xlim(2**-reach, 2**reach)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g} x"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_yticks([-place for place in range(len(checks))], checks)
    ax.set_ylim(0.4 - len(checks), 1.3)  # the legend above the first row
    ax.set_xlabel("Prediction over measurement")
    ax.set_ylabel("Check")
    legend_once(ax, loc="upper left")
    near = float((known["off_by"] <= 2).mean())
    set_title(ax, f"{near:.0%} of the predictions are within a factor of 2 (n = {len(known)})")
    return ax


def stuck(checks: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw for each check how many learners passed, failed, or got no verdict.

    Args:
        checks: check, passed, failed, unknown: one row per check.
        ax: Where to draw; a new figure by default.

    Returns:
        The axes: one bar per check.
    """
    ax = new_axes(ax)
    if checks.empty:
        return say_empty(ax, "Nobody has run a check yet.")
    at, left = -np.arange(len(checks)), np.zeros(len(checks))
    for name, (color, hatch) in _VERDICTS.items():
        width = checks[name].to_numpy(float)
        face = "white" if hatch else color
        ax.barh(at, width, 0.7, left, color=face, edgecolor=color, hatch=hatch, label=name)
        left += width
    ax.set_yticks(at, list(checks["check"]))
    ax.set_xlim(0, left.max() * 1.25)
    ax.set_xlabel("Learners")
    ax.set_ylabel("Check")
    legend_once(ax, loc="lower right")
    behind = checks.assign(open=checks["failed"] + checks["unknown"])
    worst = behind.iloc[int(behind["open"].to_numpy().argmax())]
    finding = "Nobody is stuck" if not worst["open"] else f"Most are stuck at {worst['check']}"
    set_title(ax, f"{finding} (n = {int(left.max())} learners)")
    return ax
