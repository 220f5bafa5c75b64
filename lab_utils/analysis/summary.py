"""A run in one dictionary."""

import math
from typing import TYPE_CHECKING, Any

from lab_utils.analysis.outages import availability, has_recovered, select_judged
from lab_utils.analysis.percentiles import percentiles
from lab_utils.analysis.service import shares

if TYPE_CHECKING:
    from lab_utils.runs import Run


def summarize(run: "Run") -> dict[str, Any]:
    """Say the main figures of a run.

    Returns:
        Plain JSON: None stands for what cannot be said. Latencies are those of the successes,
        lost and outage_s tell of the others. outage_s is the sum of all outages.
    """
    requests, usage = run.requests, run.usage
    p50, p95, p99 = percentiles(requests["latency_s"])["latency_s"] * 1e3
    by_role = shares(requests).set_index("role")["share"]
    lag_s = percentiles(requests["lag_s"])["latency_s"]
    figures = {
        "requests": len(requests),
        "ok": int(requests["ok"].sum()),
        "lost": int((~select_judged(requests[["error", "ok"]])["ok"]).sum()),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "send_lag_p99_ms": lag_s.iloc[-1] * 1e3,
        "share_primary": by_role.get("primary", 0.0),
        "share_backup": by_role.get("backup", 0.0),
        "availability": availability(requests).value,
        "outages": len(run.outages),
        "outage_s": run.outages["duration_s"].sum(),
        "recovered": has_recovered(requests),
        "memory_peak_mib": (usage.groupby("role")["memory_bytes"].max() / 2**20).to_dict(),
        "cpu_mean_cores": usage.groupby("role")["cpu_cores"].mean().to_dict(),
        "throttled_share": usage.groupby("role")["throttled_share"].mean().to_dict(),
        "interrupted": run.interrupted,
        "valid": run.validity.valid,
        "seed": run.seed,
        "backend": run.backend,
        "versions": run.versions,
    }
    plain: dict[str, Any] = _plain(figures)
    return plain


def _plain(value: Any) -> Any:
    """Give JSON's own types: no numpy scalars, no NaN."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, float):
        return round(float(value), 6) if math.isfinite(value) else None
    return value
