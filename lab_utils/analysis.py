"""What a run's tables say: tables in, tables and numbers out. Pure.

A failed request is never a latency, and a request cancelled by the end of the run is neither a
success nor a failure. Every estimate comes with its interval.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lab_utils.errors import EmptyRun
from lab_utils.tables import make_table
from lab_utils.theory import Band, cumulate_binomial, share_band, wilson_band

if TYPE_CHECKING:
    from lab_utils.runs import Run

MAX_GAP_S = 1.0
"""Failures closer than this belong to one outage; this long without one is recovery."""


def select_judged(requests: pd.DataFrame) -> pd.DataFrame:
    """Leave out the requests that say nothing about the server: those that the run's end cut."""
    return requests[requests["error"] != "cancelled"]


def percentiles(
    latency_s: ArrayLike, quantiles: Sequence[float] = (0.5, 0.95, 0.99), *, level: float = 0.95
) -> pd.DataFrame:
    """Estimate percentiles with distribution-free confidence intervals.

    Args:
        latency_s: Latencies in seconds; NaN (failed requests) are left out.
        quantiles: Between 0 and 1.
        level: Confidence of each interval, at least.

    Returns:
        One row per quantile: quantile, latency_s, low_s, high_s, n. NaN where the samples are too
        few to say: a bound of the p99 needs some 370 of them.

    Source:
        Order statistics x(l), x(u) with P(l <= B < u) >= level, B binomial(n, q): David and
        Nagaraja (2003), Order Statistics, section 7.1.
    """
    samples = np.asarray(latency_s, dtype=float)
    samples = np.sort(samples[~np.isnan(samples)])
    rows = [_percentile(samples, q, level) | {"n": len(samples)} for q in quantiles]
    return pd.DataFrame(rows)


def _percentile(samples: np.ndarray, q: float, level: float) -> dict[str, float]:
    n = len(samples)
    row = {"quantile": q, "latency_s": math.nan, "low_s": math.nan, "high_s": math.nan}
    if n == 0:
        return row
    row["latency_s"] = float(samples[max(0, math.ceil(q * n) - 1)])
    below = cumulate_binomial(n, q)
    tail = (1 - level) / 2
    low = int(np.searchsorted(below, tail, side="right"))  # ranks count from 1
    high = int(np.searchsorted(below, 1 - tail)) + 1
    if low >= 1:
        row["low_s"] = float(samples[low - 1])
    if high <= n:
        row["high_s"] = float(samples[high - 1])
    return row


def find_outages(
    requests: pd.DataFrame, *, max_gap_s: float = MAX_GAP_S, deadline_s: float | None = None
) -> pd.DataFrame:
    """Find the spans in which requests failed.

    An outage begins when the first request was due that failed, and ends when the first request
    was due that succeeded after the last failure: what a user sees who arrives at that time. Two
    failures less than max_gap_s apart are one outage. So every failed request is in exactly one
    outage, and a primary that takes half of the load down with it shows as an outage with a
    failing_share of about one half, not as half an outage.

    Args:
        requests: The requests table.
        max_gap_s: Longest time without a failure that is still the same outage, in seconds.
        deadline_s: A success later than this counts as failed; None for any time.

    Returns:
        The outages table, by start_s: start_s, end_s, duration_s, lost (failed requests),
        failing_share (lost of all requests due in the span); the phases are NaN. An outage that
        the run's end cuts ends with the last answer. Empty when nothing failed.

    Raises:
        EmptyRun: requests has no rows.

    Source:
        Ours. By scheduled times, so that neither time-outs nor queues move the edges; by failures
        rather than silence, because in an active-active pair half of the requests go on well.
    """
    if requests.empty:
        raise EmptyRun("There are no requests to look for outages in: fire some load first")
    table = select_judged(requests).sort_values("scheduled_s")
    due_s = table["scheduled_s"].to_numpy()
    failed = ~table["ok"].to_numpy()
    if deadline_s is not None:
        failed |= table["latency_s"].to_numpy() > deadline_s
    at = np.flatnonzero(failed)
    if not at.size:
        return make_table("outages")
    cuts = np.flatnonzero(np.diff(due_s[at]) > max_gap_s)
    first, last = at[np.r_[0, cuts + 1]], at[np.r_[cuts, at.size - 1]]
    ends_s = np.append(due_s, table["done_s"].max())[last + 1]
    lost = np.add.reduceat(failed, first, dtype=np.int64)
    outages = pd.DataFrame({"start_s": due_s[first], "end_s": ends_s, "lost": lost})
    outages["duration_s"] = outages["end_s"] - outages["start_s"]
    outages["failing_share"] = lost / (last - first + 1)
    return make_table("outages", outages)


def has_recovered(requests: pd.DataFrame, *, max_gap_s: float = MAX_GAP_S) -> bool:
    """Tell whether the run ends well: successes, and no failure for more than max_gap_s.

    Args:
        requests: The requests table.
        max_gap_s: The same as for find_outages: what ends an outage.
    """
    judged = select_judged(requests)
    if judged.empty:
        return False
    last_s = judged["scheduled_s"].max()
    failed_s = judged.loc[~judged["ok"], "scheduled_s"].max()
    return bool(judged["ok"].any() and not last_s - failed_s <= max_gap_s)


def availability(requests: pd.DataFrame) -> Band:
    """Estimate the share of requests that succeed, with its 95 % interval."""
    judged = select_judged(requests)
    return wilson_band(int(judged["ok"].sum()), len(judged))


def shares(requests: pd.DataFrame, *, by: str = "role") -> pd.DataFrame:
    """Say who answered how much, against an even random choice.

    Args:
        requests: The requests table; only successes are counted.
        by: "role", "pod" or "node".

    Returns:
        One row per answerer, by name: the column `by`, requests, share, expected (1 / answerers),
        low and high (95 % band of the expected), in_band.
    """
    answered = requests[requests["ok"]]
    counts = answered.groupby(by).size().rename("requests").reset_index()
    counts["share"] = counts["requests"] / len(answered)
    band = share_band(len(answered), 1 / len(counts)) if len(counts) else share_band(0, 0.0)
    counts["expected"], counts["low"], counts["high"] = band.value, band.low, band.high
    counts["in_band"] = counts["share"].between(band.low, band.high)
    return counts


def parts(requests: pd.DataFrame) -> pd.DataFrame:
    """Split the time of each answered request.

    Returns:
        One row per success: request_id, client_s (late sending), queue_s and service_s (as the
        worker says), overhead_s (the rest: connection, network, HTTP, Python), total_s. The first
        four sum to total_s.
    """
    answered = requests[requests["ok"]]
    split = pd.DataFrame(
        {
            "request_id": answered["request_id"],
            "client_s": answered["lag_s"],
            "queue_s": answered["queue_s"].fillna(0.0),
            "service_s": answered["service_s"].fillna(0.0),
        }
    )
    known_s = split[["client_s", "queue_s", "service_s"]].sum(axis=1)
    split["overhead_s"] = answered["latency_s"] - known_s
    return split.assign(total_s=answered["latency_s"]).reset_index(drop=True)


def rates(requests: pd.DataFrame, *, bin_s: float = 1.0) -> pd.DataFrame:
    """Count requests by the time they were due.

    Args:
        requests: The requests table.
        bin_s: Width of a bin, in seconds.

    Returns:
        Requests per second: one row per bin (index: its start, in seconds), one column per role
        that answered, and "failed".
    """
    judged = select_judged(requests)
    who = judged["role"].where(judged["ok"], "failed")
    bins = np.floor(judged["scheduled_s"] / bin_s).astype(int)
    counts = pd.crosstab(bins, who) / bin_s
    counts = counts.reindex(range(int(bins.max()) + 1) if len(bins) else [], fill_value=0.0)
    if "failed" not in counts:
        counts["failed"] = 0.0
    return counts.set_axis(counts.index * bin_s).rename_axis(index="t_s", columns=None)


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
        "lost": int((~select_judged(requests)["ok"]).sum()),
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
