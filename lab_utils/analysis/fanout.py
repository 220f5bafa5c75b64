"""Pages that wait for several answers: as slow as the slowest of them."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lab_utils.errors import InvalidInput

if TYPE_CHECKING:
    from lab_utils.runs import Run


def pages(run: "Run") -> pd.DataFrame:
    """Put the parts of each page together.

    Args:
        run: Fired with arrivals=Bursts(...): its requests are the parts of pages.

    Returns:
        One row per page that was asked for as a whole: page (from 0), fan_out (its parts),
        latency_s (from when its first part was due to its last answer; infinite if a part failed).

    Raises:
        InvalidInput: The requests of the run are no parts of pages.
    """
    about = run.settings.get("arrivals")
    if not isinstance(about, dict) or about.get("kind") != "Bursts":
        raise InvalidInput(
            "The run has no pages: fire it with arrivals=lab.arrivals.Bursts((1, 5, 20))"
        )
    requests = run.requests
    first = np.cumsum([0, *np.resize(about["sizes"], len(run.schedule))])
    page = np.searchsorted(first, requests["request_id"], side="right") - 1
    parts = pd.DataFrame({
        "page": page,
        "due_s": requests["scheduled_s"],
        "done_s": requests["done_s"].where(requests["ok"], np.inf),
        "judged": requests["error"] != "cancelled",
    })  # fmt: skip
    found = parts.groupby("page").agg(
        parts=("page", "size"), due_s=("due_s", "min"), done_s=("done_s", "max"),
        judged=("judged", "all"),
    ).reset_index()  # fmt: skip
    found["fan_out"] = np.diff(first)[found["page"]]
    whole = found[found["judged"] & (found["parts"] == found["fan_out"])]
    return pd.DataFrame({
        "page": whole["page"], "fan_out": whole["fan_out"],
        "latency_s": whole["done_s"] - whole["due_s"],
    }).reset_index(drop=True)  # fmt: skip


def fan_out_points(run: "Run", *, slow_s: float) -> pd.DataFrame:
    """Count the slow pages of each size: what the fan-out chart is drawn from.

    Args:
        run: As pages() takes it.
        slow_s: A page that took longer is slow.

    Returns:
        One row per size, rising: fan_out, requests (pages), slow (how many of them were), invalid
        (why the run's load was not what was asked for; "" if it was).
    """
    found = pages(run)
    slow = (found["latency_s"] > slow_s).groupby(found["fan_out"])
    points = slow.agg(requests="size", slow="sum").rename_axis("fan_out").reset_index()
    return points.astype("int64").assign(invalid="; ".join(run.validity.reasons))
