"""Several runs: side by side, or joined into one. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lab_utils import analysis
from lab_utils.tables import SCHEMAS, make_table

if TYPE_CHECKING:
    from lab_utils.runs import Run

_MOMENTS = ("scheduled_s", "sent_s", "done_s", "t_s", "start_s", "end_s")
_QUANTILES = (0.5, 0.95, 0.99)


def compare(this: "Run", other: "Run") -> pd.DataFrame:
    """Set two runs side by side.

    Returns:
        One row per figure (availability, p50_s, p95_s, p99_s): this, this_low, this_high, other,
        other_low, other_high (95 % intervals) and differs: whether the intervals do not overlap.
    """
    mine, others = _figures(this, "this"), _figures(other, "other")
    apart = (mine["this_low"] > others["other_high"]) | (others["other_low"] > mine["this_high"])
    return mine.join(others).assign(differs=apart).rename_axis("figure").reset_index()


def _figures(run: "Run", name: str) -> pd.DataFrame:
    share = analysis.availability(run.requests)
    rows = [[share.value, share.low, share.high]]
    found = analysis.percentiles(run.requests["latency_s"], _QUANTILES)
    rows += found[["latency_s", "low_s", "high_s"]].to_numpy().tolist()
    index = ["availability", *(f"p{quantile * 100:g}_s" for quantile in _QUANTILES)]
    return pd.DataFrame(rows, index=index, columns=[name, f"{name}_low", f"{name}_high"])


def merge(runs: Sequence["Run"]) -> "Run":
    """Join runs into one on the clock of the first.

    Args:
        runs: At least one. Clocks are brought together by wall time, which machines agree on only
            so far. Shares of one schedule keep their numbers; other requests are numbered anew.

    Returns:
        The joint run. Its settings are those that all have in common.
    """
    first, *others = runs
    if not others:
        return first
    numbers = _first_numbers(runs)
    placed = [
        {name: _place(getattr(run, name), _later_s(run, first), number) for name in SCHEMAS}
        for run, number in zip(runs, numbers, strict=True)
    ]
    tables: dict[str, Any] = {
        name: _stack(name, [tables[name] for tables in placed]) for name in SCHEMAS
    }
    tables["outages"] = analysis.tell_outages(tables)
    settings = _common_settings(runs)
    if any(numbers):  # the rate of several schedules is that of none of them
        settings = _leave_out(settings, "rate_rps", "arrivals")
    return replace(
        first, **tables, settings=settings, interrupted=any(run.interrupted for run in runs)
    )


def pick_role(run: "Run", role: str) -> "Run":
    """Take the requests that one role answered, and what was sampled of its pods.

    Returns:
        A run with these rows only. Whether its load was valid is judged of the whole: a share of a
        schedule has no rate of its own.
    """
    requests = run.requests[run.requests["role"] == role]
    kept = requests["request_id"]
    tables: dict[str, Any] = {
        "requests": requests,
        "attempts": run.attempts[run.attempts["request_id"].isin(kept)],
        "schedule": run.schedule[run.schedule["request_id"].isin(kept)],
        "usage": run.usage[run.usage["role"] == role],
    }
    tables = {name: table.reset_index(drop=True) for name, table in tables.items()}
    return replace(run, **tables, settings=_leave_out(run.settings, "loop", "rate_rps", "arrivals"))


def _leave_out(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _first_numbers(runs: Sequence["Run"]) -> list[int]:
    """Give what is to be added to the request_ids of each run: 0 where they do not clash."""
    ids = [run.schedule["request_id"] if len(run.schedule) else run.requests["request_id"]
           for run in runs]  # fmt: skip
    if not pd.concat(ids).duplicated().any():
        return [0] * len(runs)
    spans = [int(numbers.max()) + 1 if len(numbers) else 0 for numbers in ids]
    return [0, *np.cumsum(spans[:-1]).tolist()]


def _later_s(run: "Run", first: "Run") -> float:
    return (run.started_at - first.started_at).total_seconds()


def _place(table: pd.DataFrame, later_s: float, number: int) -> pd.DataFrame:
    """Bring a table onto the clock and the numbers of the first run."""
    moved: dict[str, Any] = {name: table[name] + later_s for name in _MOMENTS if name in table}
    if "request_id" in table:
        moved["request_id"] = table["request_id"] + number
    return table.assign(**moved)


def _stack(name: str, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    if not filled:
        return make_table(name)
    order = [column for column in ("request_id", "attempt", *_MOMENTS) if column in SCHEMAS[name]]
    return make_table(name, pd.concat(filled).sort_values(order, kind="stable"))


def _common_settings(runs: Sequence["Run"]) -> dict[str, Any]:
    first, *others = (run.settings for run in runs)
    common = {k: v for k, v in first.items() if all(o.get(k) == v for o in others)}
    clients = [run.settings.get("client") or {} for run in runs]
    busiest = max(clients, key=lambda client: client.get("cpu_s", 0) / client.get("wall_s", 1))
    return common | {"client": busiest}
