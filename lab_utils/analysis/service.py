"""What a Service did: who answered, in what time, how much of it was useful."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from lab_utils.analysis.outages import select_judged
from lab_utils.errors import InvalidInput
from lab_utils.theory import Band, share_band


def shares(requests: pd.DataFrame, *, by: str = "role", among: Iterable[str] = ()) -> pd.DataFrame:
    """Say who answered how much, against an even random choice.

    Args:
        requests: The requests table; only successes are counted.
        by: "role", "pod" or "node".
        among: Who might have answered; who did is among them anyway.

    Returns:
        One row per answerer, by name: the column `by`, requests, share, expected (1 / answerers),
        low and high (95 % band of the expected), in_band.
    """
    answered = requests.loc[requests["ok"], by]
    counted = answered.groupby(answered).size()
    counted = counted.reindex(sorted({*counted.index, *among}), fill_value=0)
    counts: pd.DataFrame = counted.rename_axis(by).rename("requests").reset_index()
    counts["share"] = counts["requests"] / len(answered)
    band = share_band(len(answered), 1 / len(counts)) if len(counts) else share_band(0, 0.0)
    counts["expected"], counts["low"], counts["high"] = band.value, band.low, band.high
    counts["in_band"] = counts["share"].between(band.low, band.high)
    return counts


def errors(requests: pd.DataFrame) -> pd.DataFrame:
    """Count the requests that failed by the class of their error.

    Returns:
        One row per class, the most frequent first: error, requests, share (of all judged
        requests), first_s and last_s (when the first and the last of them were due).
    """
    failed = select_judged(requests.loc[~requests["ok"], ["error", "scheduled_s"]])
    judged = int((requests["error"] != "cancelled").sum())
    due_s = failed.groupby("error")["scheduled_s"]
    found = due_s.agg(requests="size", first_s="min", last_s="max").reset_index()
    found.insert(2, "share", found["requests"] / max(judged, 1))
    return found.sort_values("requests", ascending=False, ignore_index=True)


def parts(requests: pd.DataFrame) -> pd.DataFrame:
    """Split the time of each answered request.

    Returns:
        One row per success: request_id, client_s (late sending), queue_s and service_s (as the
        worker says), overhead_s (the rest: connection, network, HTTP, Python), total_s. The first
        four sum to total_s.
    """
    columns = ["request_id", "lag_s", "queue_s", "service_s", "latency_s"]
    answered = requests.loc[requests["ok"], columns]
    split = pd.DataFrame(
        {
            "request_id": answered["request_id"],
            "client_s": answered["lag_s"].fillna(0.0),
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
    judged = requests["error"].to_numpy() != "cancelled"
    bins = _bins(requests["scheduled_s"].to_numpy()[judged], bin_s)
    ok = requests["ok"].to_numpy()[judged]
    codes, roles = pd.factorize(requests["role"].to_numpy()[judged], sort=True)
    length = int(bins.max()) + 1 if bins.size else 0
    columns = {"failed": np.bincount(bins[~ok], minlength=length)}
    for code, role in enumerate(roles):
        counts = np.bincount(bins[ok & (codes == code)], minlength=length)
        if counts.any():
            columns[str(role)] = counts
    index = pd.Index(np.arange(length) * bin_s, name="t_s")
    return pd.DataFrame(columns, index=index, dtype=float) / bin_s


def goodput(requests: pd.DataFrame, *, slo_s: float, bin_s: float = 1.0) -> pd.DataFrame:
    """Count what was offered and what was of use: answered within the objective.

    Args:
        requests: The requests table.
        slo_s: An answer after this is of no use, in seconds from when the request was due.
        bin_s: Width of a bin, in seconds.

    Returns:
        Per second, one row per bin (index t_s: its start): offered_rps, attempted_rps (with
        retries), answered_rps, goodput_rps; by the time the requests were due.

    Raises:
        InvalidInput: slo_s is not above 0.
    """
    if not slo_s > 0:
        raise InvalidInput(f"slo_s is {slo_s!r}: want seconds above 0, such as slo_s=0.5")
    needed = ["error", "scheduled_s", "latency_s", "attempts", "ok"]
    judged = select_judged(requests[needed])
    bins = _bins(judged["scheduled_s"].to_numpy(), bin_s)
    good = judged["latency_s"].to_numpy() <= slo_s  # a failed request has none: NaN is not
    weights = {
        "offered_rps": np.ones(len(judged)),
        "attempted_rps": judged["attempts"].to_numpy(),
        "answered_rps": judged["ok"].to_numpy(),
        "goodput_rps": good,
    }
    columns = {name: np.bincount(bins, weight) / bin_s for name, weight in weights.items()}
    table = pd.DataFrame(columns, dtype=float)
    return table.set_axis(pd.Index(np.arange(len(table)) * bin_s, name="t_s"))


def amplification(requests: pd.DataFrame) -> Band:
    """Estimate how many attempts a request makes on average, with its 95 % interval.

    Source:
        Normal approximation of a mean.
    """
    made = select_judged(requests[["error", "attempts"]])["attempts"].to_numpy(dtype=float)
    if not made.size:
        return Band(math.nan, math.nan, math.nan)
    margin = 1.96 * float(made.std()) / math.sqrt(made.size)
    return Band(float(made.mean()), float(made.mean()) - margin, float(made.mean()) + margin)


def replicas(states: pd.DataFrame, *, kind: str = "pod") -> pd.DataFrame:
    """Count what is ready over time.

    Args:
        states: The states table.
        kind: "pod", "endpoint" (a pod behind a Service) or "node".

    Returns:
        One row per moment at which the number changed: t_s, ready (from then on). Empty where
        nobody watched.
    """
    mine = states[states["kind"] == kind].sort_values("t_s", kind="stable")
    now = mine["ready"].astype(int)
    before = now.groupby(mine["name"]).shift(fill_value=0)
    total = (now - before).cumsum()
    counted = pd.DataFrame({"t_s": mine["t_s"], "ready": total})
    counted = counted.drop_duplicates("t_s", keep="last")
    changed = counted["ready"] != counted["ready"].shift()
    return counted[changed].reset_index(drop=True)


def _bins(
    due_s: "np.ndarray[tuple[int], np.dtype[np.float64]]", bin_s: float
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.maximum(np.floor(due_s / bin_s), 0).astype(np.int64)
