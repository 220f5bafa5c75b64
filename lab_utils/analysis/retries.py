"""What retries add to the load: one point per run, beside the theory."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from lab_utils.analysis.outages import select_judged
from lab_utils.analysis.service import amplification

if TYPE_CHECKING:
    from lab_utils.runs import Run


def amplification_points(runs: Iterable["Run"]) -> pd.DataFrame:
    """Give how many attempts a request makes, against how many attempts fail.

    Args:
        runs: Each with a share of failures of its own.

    Returns:
        One row per run, by failing: failing (share of the attempts), attempts (mean per request),
        low and high (its 95 % interval), requests.
    """
    rows = []
    for run in runs:
        made, mean = select_judged(run.attempts[["error", "ok"]]), amplification(run.requests)
        rows.append(
            {
                "failing": 1 - float(made["ok"].mean()),
                "attempts": mean.value,
                "low": mean.low,
                "high": mean.high,
                "requests": len(select_judged(run.requests[["error"]])),
            }
        )
    columns = ["failing", "attempts", "low", "high", "requests"]
    return pd.DataFrame(rows, columns=columns).sort_values("failing", ignore_index=True)
