"""The lab's tables: which columns each has and of what kind.

The columns are a contract: notebooks, saved runs and charts rely on them. Every `*_s` is seconds on
the run's clock. What is not known is NaN in a measure, "" in a name and 0 in a count; a failed
request has no latency.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

SCHEMAS: dict[str, dict[str, str]] = {
    "requests": {
        "request_id": "int64", "scheduled_s": "float64", "sent_s": "float64", "done_s": "float64",
        "latency_s": "float64", "lag_s": "float64", "ok": "bool", "status": "int64",
        "error": "str", "attempts": "int64", "hedged": "bool", "pod": "str", "node": "str",
        "role": "str", "queue_s": "float64", "service_s": "float64", "batch_size": "int64",
    },
    "attempts": {
        "request_id": "int64", "attempt": "int64", "sent_s": "float64", "done_s": "float64",
        "ok": "bool", "status": "int64", "error": "str", "pod": "str", "role": "str",
        "hedge": "bool", "endpoint": "str",
    },
    "usage": {
        "t_s": "float64", "pod": "str", "node": "str", "role": "str", "cpu_cores": "float64",
        "memory_bytes": "float64", "throttled_share": "float64", "restarts": "int64",
        "ready": "bool",
    },
    "events": {
        "t_s": "float64", "type": "str", "reason": "str", "kind": "str", "name": "str",
        "message": "str",
    },
    "faults": {"start_s": "float64", "end_s": "float64", "name": "str", "target": "str"},
    "outages": {
        "start_s": "float64", "end_s": "float64", "duration_s": "float64", "lost": "int64",
        "detect_s": "float64", "propagate_s": "float64", "reconnect_s": "float64",
        "warmup_s": "float64", "failing_share": "float64",
    },
    "schedule": {"request_id": "int64", "scheduled_s": "float64"},
    "states": {
        "t_s": "float64", "kind": "str", "name": "str", "role": "str", "node": "str",
        "ready": "bool", "reason": "str",
    },
    "kubelet": {
        "t_s": "float64", "pod": "str", "node": "str", "role": "str", "cpu_cores": "float64",
        "memory_bytes": "float64",
    },
    "gaps": {"start_s": "float64", "end_s": "float64", "source": "str", "reason": "str"},
}  # fmt: skip
_UNKNOWN = {"int64": 0, "float64": float("nan"), "bool": False, "str": ""}


def make_table(name: str, rows: Iterable[Mapping[str, Any]] | pd.DataFrame = ()) -> pd.DataFrame:
    """Make a table with exactly the columns of its schema.

    Args:
        name: One of SCHEMAS.
        rows: Rows with any of the columns; what is missing or None becomes "unknown".

    Returns:
        The table, with a fresh index.
    """
    given = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    columns = {
        column: _typed(given[column], dtype)
        if column in given
        else pd.Series([_UNKNOWN[dtype]] * len(given), dtype=dtype)
        for column, dtype in SCHEMAS[name].items()
    }
    return pd.DataFrame(columns).reset_index(drop=True)


def _typed(column: "pd.Series[Any]", dtype: str) -> "pd.Series[Any]":
    known = column.astype(object).where(column.notna(), _UNKNOWN[dtype])
    return pd.Series(known.to_numpy(), dtype=dtype)
