"""Notebook 11: what a lost machine costs.

RATE_RPS requests a second go to a primary that leaves a silent machine after TOLERATION_S, and to a
backup that stays as long as the cluster's pace says; each is on a machine of its own.
"""

import math
from typing import Any

import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, require, within
from lab_utils.runs import Run
from lab_utils.theory.failures import API_S, PROXY_SYNC_S

RATE_RPS = 20.0
SERVICE_S = 0.1
TOLERATION_S = 2.0
START_S = (0.5, 8.0)
"""A start takes a second where the CPU is not limited; this much more where it is busy."""
_ODDS = 0.999
"""Of a band that no more than one class in thirty-three should see missed by somebody."""
_STAMP_S = 1.0
"""Kubernetes stamps taints and Leases in whole seconds or cuts them to it."""


def _lost(run: Run) -> int:
    judged = analysis.select_judged(run.requests)
    require(len(judged) > 0, "no request was sent")
    return int((~judged["ok"]).sum())


def _phase(run: Run, name: str) -> dict[str, Any]:
    found = analysis.node_phases(run.states, run.faults)
    mine = found[(found["name"] == name) & (found["node"] != "")]
    require(len(mine) > 0, f"there is no {name!r} in this run, or nobody watched the pods")
    return {str(key): value for key, value in mine.iloc[0].items()}


def _in_time(what: str, seconds: float, low_s: float, high_s: float) -> Finding:
    require(math.isfinite(seconds), f"{what} within the run")
    return within(seconds, low_s, high_s, "s", digits=1)


@claim("11.1", "before any fault no request fails")
def steady_state(run: Run) -> Finding:
    """Decide on a run without a fault."""
    return at_most(_lost(run), 0, "requests", digits=0)


@claim("11.2", "a frozen machine is NotReady when its Lease has run out",
       ask="seconds from the freezing until the machine is NotReady", floor=0.5)  # fmt: skip
def missed_in_time(run: Run, pace: theory.NodePace) -> Finding:
    """Decide on when the node's Ready condition changed."""
    seconds, band = _phase(run, "pause node")["not_ready_s"], theory.node_not_ready_s(pace)
    low_s, high_s = band.low - _STAMP_S, band.high + _STAMP_S
    return _in_time("the machine was not missed", seconds, low_s, high_s)


@claim("11.3", "within its toleration nobody leaves a frozen machine")
def patience_holds(run: Run, pace: theory.NodePace) -> Finding:
    """Decide on the pod of before: still there when the machine is back, and serving again."""
    phase = _phase(run, "pause node")
    silent_s = phase["back_s"] - phase["not_ready_s"]
    require(silent_s < pace.toleration_s, "the machine was not back within the toleration")
    again = run.requests["scheduled_s"] > phase["start_s"] + phase["back_s"]
    pods = set(run.requests.loc[again & run.requests["ok"], "pod"])
    require(bool(pods), "no request was answered after the machine was back")
    stayed = math.isnan(phase["given_up_s"]) and phase["pod"] in pods
    seen = "it stayed and serves again" if stayed else "it was given up, or serves no more"
    return Finding(stayed, seen, "it stays")


@claim("11.4", "a dead machine's pod is given up when its toleration is over")
def given_up_in_time(run: Run, pace: theory.NodePace) -> Finding:
    """Decide on when the pod was marked for deletion."""
    band = theory.eviction_s(TOLERATION_S, pace)
    seconds = _phase(run, "stop node")["given_up_s"]
    low_s, high_s = band.low - 2 * _STAMP_S, band.high + _STAMP_S
    return _in_time("the pod was not given up", seconds, low_s, high_s)


@claim("11.5", "then a start later there is another",
       ask="seconds from the power cut until another primary is Ready", floor=1.0)  # fmt: skip
def replaced_in_time(run: Run) -> Finding:
    """Decide on the time between giving up and Ready; the prediction is of the whole."""
    phase = _phase(run, "stop node")
    start_s = phase["replaced_s"] - phase["given_up_s"]
    found = _in_time("there was no other primary", start_s, *START_S)
    return Finding(found.holds, found.seen, found.wanted, phase["replaced_s"])


@claim("11.6", "until the machine is missed every other request is lost, and none afterwards",
       ask="requests lost when a machine loses its power", floor=5.0)  # fmt: skip
def lost_while_unnoticed(run: Run) -> Finding:
    """Decide on a fair coin for each request that was due while the Service led there."""
    phase = _phase(run, "stop node")
    require(math.isfinite(phase["withdrawn_s"]), "the Service led there until the run's end")
    fewest = _due(run, phase["start_s"], phase["start_s"] + phase["withdrawn_s"])
    until_s = phase["start_s"] + phase["withdrawn_s"] + API_S + PROXY_SYNC_S
    most = _due(run, phase["start_s"] - SERVICE_S, until_s)
    require(fewest >= 30, f"only {fewest} requests were due before the machine was missed")
    low = theory.binomial_ranks(fewest, 0.5, level=_ODDS)[0] - 1
    high = theory.binomial_ranks(most, 0.5, level=_ODDS)[1]
    return within(_lost(run), low, high, "requests", digits=0)


def _due(run: Run, start_s: float, end_s: float) -> int:
    due_s: pd.Series[float] = analysis.select_judged(run.requests)["scheduled_s"]
    return int(due_s.between(start_s, end_s).sum())


@claim("11.7", "a drain loses no more than the endpoints' news takes",
       ask="requests lost when a machine is drained", floor=2.0)  # fmt: skip
def drain_loses_little(run: Run) -> Finding:
    """Decide on the upper end of the Poisson band for the time the news of each pod may take."""
    phase = _phase(run, "drain")
    going = run.states[(run.states["kind"] == "pod") & (run.states["reason"] == "Terminating")]
    moved = going.loc[going["t_s"] >= phase["start_s"], "name"].nunique()
    require(moved > 0, "nobody was evicted")
    window_s = moved * (SERVICE_S + API_S + PROXY_SYNC_S)
    limit = theory.lost_requests(RATE_RPS, 0.5, window_s, level=_ODDS).high
    return at_most(_lost(run), limit, "requests", digits=0)


@claim("11.8", "during the drain somebody is always Ready")
def drain_keeps_one(run: Run) -> Finding:
    """Decide on the fewest Ready pods."""
    _phase(run, "drain")
    ready = analysis.replicas(run.states)
    return Finding(bool(ready["ready"].min() >= 1), f"{ready['ready'].min()} pods", "at least 1")
