"""Notebook 09: what clients do to a server that stood still for a moment.

The server takes SERVICE_S for each of SLOTS requests at a time; the load is half of what it can do.
"""

import math

import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, require
from lab_utils.runs import Run

SERVICE_S = 0.1
SLOTS = 4
CAPACITY_RPS = SLOTS / SERVICE_S
SLO_S = 1.0
"""An answer after this is of no use."""
_WINDOW_S = 0.5
_GOOD = 0.75
"""Share of good answers that makes a window a good one: chance spoils one of ten, or two."""


def _stall(run: Run) -> tuple[float, float]:
    """Give when the stall began and when it ended."""
    stalls = run.faults[run.faults["name"] == "stall"]
    require(len(stalls) > 0, "the server did not stand still in this run")
    return float(stalls["start_s"].iloc[0]), float(stalls["end_s"].iloc[0])


def _good(run: Run) -> pd.DataFrame:
    """Say of each judged request when it was due and whether its answer was of use."""
    judged = analysis.select_judged(run.requests).sort_values("scheduled_s")
    good = judged["ok"] & (judged["latency_s"] <= SLO_S)
    return pd.DataFrame({"due_s": judged["scheduled_s"], "good": good})


def _drain_s(run: Run, budget: float = 0.0) -> float:
    """Predict how long the queue of the stall takes to go: lambda D / (mu - lambda)."""
    began_s, ended_s = _stall(run)
    rate_rps = float(run.settings["rate_rps"]) * (1 + budget)
    return theory.drain_s(rate_rps, CAPACITY_RPS, ended_s - began_s)


def _recovered_s(run: Run) -> float:
    """Find how long after the stall all is well again, to the end of the run; infinity: never."""
    _, ended_s = _stall(run)
    after = _good(run)
    after = after[after["due_s"] >= ended_s]
    shares = after.groupby(((after["due_s"] - ended_s) / _WINDOW_S).astype(int))["good"].mean()
    require(len(shares) >= 4, "the run ended too soon after the stall")
    bad = shares.index[shares < _GOOD]
    last = int(bad.max()) if len(bad) else 0
    if len(bad) and last == shares.index.max():
        return math.inf
    failed = after[~after["good"] & (after["due_s"] < ended_s + (last + 1) * _WINDOW_S)]
    return float(failed["due_s"].max()) - ended_s if len(failed) else 0.0


def _recovers(run: Run, budget: float = 0.0) -> Finding:
    within_s = 2 * _drain_s(run, budget)
    span_s = float(run.requests["scheduled_s"].max()) - _stall(run)[1]
    require(span_s > within_s, f"the run ended before {within_s:.1f} s had passed")
    after_s = _recovered_s(run)
    require(after_s <= within_s or run.validity.valid, run.validity.text)
    return at_most(after_s, within_s, "s", digits=1)


@claim("09.1", "attempts per request follow the share that fails",
       ask="attempts per request when half of the attempts fail, of 3 at most",
       floor=0.1)  # fmt: skip
def attempts_follow_failures(points: pd.DataFrame, attempts: int) -> Finding:
    """Decide on (1 - p^r) / (1 - p) at the share that did fail, within four standard errors."""
    require(len(points) > 0, "there is no run")
    require(int(points["requests"].min()) >= 100, "a run has fewer than 100 requests")
    wanted = [theory.amplification(p, attempts) for p in points["failing"]]
    # low and high are the 95 % interval, 1.96 standard errors to each side.
    away = (points["attempts"] - wanted).abs() / ((points["high"] - points["low"]) / 3.92)
    half = int((points["failing"] - 0.5).abs().to_numpy().argmin())
    seen = f"{float(away.max()):.1f} standard errors away at most"
    return Finding(
        bool(away.max() <= 4), seen, "at most 4", float(points["attempts"].to_numpy()[half])
    )


@claim("09.2", "before the stall no request fails")
def steady_before(run: Run) -> Finding:
    """Decide on the requests that were due long enough before it to be answered."""
    began_s, _ = _stall(run)
    good = _good(run)
    before = good[good["due_s"] < began_s - 2 * SERVICE_S]
    require(len(before) > 0, "no request was due before the stall")
    lost = int((~before["good"]).sum())
    require(lost == 0 or run.validity.valid, run.validity.text)
    return at_most(lost, 0, "requests", digits=0)


@claim("09.3", "with one attempt each the server recovers by itself",
       ask="seconds from the end of the stall until all is well, with one attempt",
       floor=0.5)  # fmt: skip
def one_attempt_recovers(run: Run) -> Finding:
    """Decide on twice the time that the queue needs to go."""
    return _recovers(run)


@claim("09.4", "with three attempts each it stays down, though nothing is broken any more",
       ask="percent of the requests answered in time long after the stall, with three attempts",
       floor=5.0)  # fmt: skip
@claim("09.5", "back-off and jitter alone change nothing about that",
       ask="percent of the requests answered in time long after the stall, with back-off",
       floor=5.0)  # fmt: skip
def retries_keep_it_down(run: Run) -> Finding:
    """Decide on the goodput after the time in which one attempt recovers.

    An attempt that comes later comes all the same, so back-off is held to the same.
    """
    good = _good(run)
    late = good[good["due_s"] > _stall(run)[1] + 2 * _drain_s(run)]
    require(len(late) >= 8, f"only {len(late)} requests were due that late")
    pct = 100 * float(late["good"].mean())
    require(pct < 10 or run.validity.valid, run.validity.text)
    return Finding(pct < 10, f"{pct:.0f} % of the requests", "less than 10 %", pct)


@claim("09.6", "with a budget for retries the server recovers",
       ask="seconds from the end of the stall until all is well, with a budget",
       floor=0.5)  # fmt: skip
def budget_recovers(run: Run) -> Finding:
    """Decide on twice the time that the queue needs to go, at the load that the budget allows."""
    return _recovers(run, budget=0.1)


@claim("09.7", "a short queue saves the server from the same clients",
       ask="seconds from the end of the stall until all is well, with a short queue",
       floor=0.5)  # fmt: skip
def short_queue_recovers(run: Run) -> Finding:
    """Decide on the same time, for clients of which each attempts three times."""
    require(run.settings["retries"] is not None, "the clients of this run do not retry")
    return _recovers(run)
