"""When requests failed, for how long, and what each outage was made of."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from lab_utils.errors import EmptyRun
from lab_utils.tables import make_table
from lab_utils.theory import Band, wilson_band

MAX_GAP_S = 1.0
"""Failures closer than this belong to one outage; this long without one is recovery."""
_NOTICED = ("Unhealthy", "Killing", "NodeNotReady", "BackOff")
_WARM_ANSWERS = 5
"""So many answers in a row are looked at together: one slow one is chance."""


def select_judged(requests: pd.DataFrame) -> pd.DataFrame:
    """Leave out the requests that say nothing about the server: those that the run's end cut."""
    return requests[requests["error"] != "cancelled"]


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
        failing_share (lost of all requests due in the span); the phases are NaN, see
        split_outages(). An outage that the run's end cuts ends with the last answer. Empty when
        nothing failed.

    Raises:
        EmptyRun: requests has no rows.

    Source:
        Ours. By scheduled times, so that neither time-outs nor queues move the edges; by failures
        rather than silence, because in an active-active pair half of the requests go on well.
    """
    if requests.empty:
        raise EmptyRun("There are no requests to look for outages in: fire some load first")
    judged = requests["error"].to_numpy() != "cancelled"
    due_s = requests["scheduled_s"].to_numpy()[judged]
    order = np.argsort(due_s, kind="stable")
    due_s = due_s[order]
    failed = ~requests["ok"].to_numpy()[judged][order]
    if deadline_s is not None:
        failed |= requests["latency_s"].to_numpy()[judged][order] > deadline_s
    at = np.flatnonzero(failed)
    if not at.size:
        return make_table("outages")
    cuts = np.flatnonzero(np.diff(due_s[at]) > max_gap_s)
    first, last = at[np.r_[0, cuts + 1]], at[np.r_[cuts, at.size - 1]]
    ends_s = np.append(due_s, requests["done_s"].to_numpy()[judged].max())[last + 1]
    lost = np.add.reduceat(failed, first, dtype=np.int64)
    outages = pd.DataFrame({"start_s": due_s[first], "end_s": ends_s, "lost": lost})
    outages["duration_s"] = outages["end_s"] - outages["start_s"]
    outages["failing_share"] = lost / (last - first + 1)
    return make_table("outages", outages)


def split_outages(
    outages: pd.DataFrame,
    requests: pd.DataFrame,
    *,
    faults: pd.DataFrame,
    states: pd.DataFrame,
    events: pd.DataFrame,
) -> pd.DataFrame:
    """Say what each outage was made of, from its fault to the usual latency.

    Args:
        outages: What find_outages() gave.
        requests: The requests table.
        faults: The faults table.
        states: The states table.
        events: The events table.

    Returns:
        The outages table with its phases, NaN where they cannot be known:
        detect_s: from the fault until the cluster noticed (a pod, an endpoint or a node not ready;
        where the states were not watched an Event, which is off by 0.5 s at most); propagate_s:
        from there until the last request was due that failed; reconnect_s: from there until the
        first was due that succeeded; these three sum to end_s minus the fault's start. warmup_s:
        from end_s until answers take as long as before the fault.

    Source:
        Ours; the split into detection, propagation and readiness is that of krkn's telemetry.
    """
    split = outages.copy()
    phases = ["detect_s", "propagate_s", "reconnect_s", "warmup_s"]
    for row, outage in outages.iterrows():
        cause_s = _cause_s(float(outage["start_s"]), float(outage["end_s"]), faults)
        if math.isnan(cause_s):
            continue
        due_s = requests["scheduled_s"]
        within = due_s.between(outage["start_s"], outage["end_s"]) & ~requests["ok"]
        gone_s = float(due_s[within].max())
        noticed_s = min(_noticed_s(cause_s, states, events), gone_s)  # never after its effect
        split.loc[row, phases] = [
            noticed_s - cause_s,
            gone_s - noticed_s,
            outage["end_s"] - gone_s,
            _warmup_s(requests, cause_s, float(outage["end_s"])),
        ]
    return split


def tell_outages(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Find the outages of a run and split them into their phases.

    Args:
        tables: At least requests, faults, states and events.

    Returns:
        The outages table; empty where there are no requests.
    """
    requests = tables["requests"]
    if requests.empty:
        return make_table("outages")
    known = {name: tables[name] for name in ("faults", "states", "events")}
    return split_outages(find_outages(requests), requests, **known)


def _cause_s(start_s: float, end_s: float, faults: pd.DataFrame) -> float:
    """Give the start of the last fault before an outage, or else of the first one within it."""
    starts_s = np.sort(faults["start_s"].to_numpy())
    before = starts_s[starts_s <= start_s]
    if before.size:
        return float(before[-1])
    within = starts_s[(starts_s > start_s) & (starts_s < end_s)]
    return min(float(within[0]), start_s) if within.size else math.nan


def _noticed_s(cause_s: float, states: pd.DataFrame, events: pd.DataFrame) -> float:
    lost = (states["t_s"] >= cause_s) & ~states["ready"]
    if lost.any():
        return float(states.loc[lost, "t_s"].min())
    # Events are stamped in whole seconds: it was half a second later, give or take as much.
    told = events["reason"].isin(_NOTICED) & (events["t_s"] > cause_s - 1)
    return max(cause_s, float(events.loc[told, "t_s"].min()) + 0.5) if told.any() else math.nan


def _warmup_s(requests: pd.DataFrame, cause_s: float, end_s: float) -> float:
    answered = requests.loc[requests["ok"], ["scheduled_s", "latency_s"]]
    answered = answered.sort_values("scheduled_s")
    before = answered.loc[answered["scheduled_s"] < cause_s, "latency_s"]
    after = answered[answered["scheduled_s"] >= end_s]
    if len(before) < 2 * _WARM_ANSWERS or len(after) < _WARM_ANSWERS:
        return math.nan
    usual_s = before.quantile(0.95)
    typical_s = after["latency_s"].rolling(_WARM_ANSWERS).median().shift(1 - _WARM_ANSWERS)
    warm = after.loc[typical_s <= usual_s, "scheduled_s"]
    return float(warm.min() if len(warm) else after["scheduled_s"].max()) - end_s


def has_recovered(requests: pd.DataFrame, *, max_gap_s: float = MAX_GAP_S) -> bool:
    """Tell whether the run ends well: successes, and no failure for more than max_gap_s.

    Args:
        requests: The requests table.
        max_gap_s: The same as for find_outages: what ends an outage.
    """
    judged = select_judged(requests[["error", "ok", "scheduled_s"]])
    if judged.empty:
        return False
    last_s = judged["scheduled_s"].max()
    failed_s = judged.loc[~judged["ok"], "scheduled_s"].max()
    return bool(judged["ok"].any() and not last_s - failed_s <= max_gap_s)


def availability(requests: pd.DataFrame) -> Band:
    """Estimate the share of requests that succeed, with its 95 % interval."""
    judged = select_judged(requests[["error", "ok"]])
    return wilson_band(int(judged["ok"].sum()), len(judged))
