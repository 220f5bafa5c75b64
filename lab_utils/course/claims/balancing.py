"""Notebook 05: kube-proxy balances connections, not requests; what a client does better.

The runs with a policy are at a utilisation of 0.8, over four pods with one slot each.
"""

import numpy as np
import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, equal, require
from lab_utils.runs import Run

CONNECTIONS = 4
_BEHIND_PCT = 6.0
"""Connections take turns, but one that still waits for an answer is passed over."""
_Z = 3.5  # four shares at once: one set of runs in a thousand is outside by chance
_FEWEST = 300
_DECISIVE = 3_000
"""Requests of a run from which on chance does not turn the order of two policies round."""


def _count(run: Run) -> pd.DataFrame:
    found = analysis.shares(run.requests, by="pod", among=_ready_pods(run))
    answered = int(found["requests"].sum())
    require(answered >= 20, f"{answered} answers say nothing about shares")
    return found


def _ready_pods(run: Run) -> list[str]:
    pods = run.states[run.states["kind"] == "pod"]
    return sorted(set(pods.loc[pods["ready"], "name"]))


@claim("05.1", "one kept connection leads to one pod")
def one_connection_one_pod(run: Run) -> Finding:
    """Decide on how many pods have answered a client that keeps its connection."""
    answered = int((_count(run)["requests"] > 0).sum())
    return equal(f"{answered} pods" if answered != 1 else "1 pod", "1 pod")


@claim("05.2", "four kept connections share the load in quarters",
       ask="percent of the requests for the busier of two pods, over four kept connections",
       floor=5.0)  # fmt: skip
def quarters(run: Run) -> Finding:
    """Decide on the distance of every pod's share from a whole number of connections."""
    found = _count(run)
    connections = found["share"] * CONNECTIONS
    away = float((connections - connections.round()).abs().max())
    decided = at_most(100 * away / CONNECTIONS, _BEHIND_PCT, "%", digits=1)
    return Finding(decided.holds, decided.seen, decided.wanted, 100 * float(found["share"].max()))


@claim("05.3", "new pods get nothing as long as nobody reconnects",
       ask="percent of the requests for the two new pods, from when they are Ready")  # fmt: skip
def newcomers_idle(run: Run) -> Finding:
    """Decide on who answered what was due after the new pods had become Ready."""
    new = analysis.newcomers(run.states)
    require(len(new) > 0, "no pod became Ready in this run")
    answered = run.requests[run.requests["ok"]]
    later = answered[answered["scheduled_s"] > new["ready_s"].max()]
    require(len(later) >= 20, f"only {len(later)} requests came after the new pods were Ready")
    return at_most(100 * float(later["pod"].isin(set(new["name"])).mean()), 0, "%", digits=0)


@claim("05.4", "with new connections every pod gets its share")
def shares_in_band(run: Run) -> Finding:
    """Decide on the binomial band of each pod's share; the new ones too."""
    found = _count(run)
    band = theory.share_band(int(found["requests"].sum()), 1 / len(found), z=_Z)
    low, high = (100 * float(choose(found["share"])) for choose in (min, max))
    seen = f"{low:.0f} to {high:.0f} % for {len(found)} pods"
    wanted = f"{100 * band.low:.0f} to {100 * band.high:.0f} %"
    holds = 100 * band.low <= low and high <= 100 * band.high and len(found) > 1
    return Finding(holds, seen, wanted, high)


def _require_policies(points: pd.DataFrame, *names: str) -> "pd.Series[float]":
    missing = sorted(set(names) - set(points["policy"]))
    require(not missing, f"there is no run with {', '.join(missing)}")
    fewest = int(points["requests"].min())
    require(fewest >= _FEWEST, f"a p99 of {fewest} answers says nothing")
    return points.set_index("policy")["p99_s"]


@claim("05.5", "the pods do what their twins do")
def twins_agree(points: pd.DataFrame) -> Finding:
    """Decide on the largest deviation of a mean from that of ideal pods: 20 % or 30 ms."""
    require(len(points) > 0, "there is no run")
    twin_s = points["twin_s"].to_numpy()
    off_s = np.abs(points["mean_s"].to_numpy() - twin_s)
    allowed_s = np.maximum(0.2 * twin_s, 0.03)
    worst = int((off_s - allowed_s).argmax())
    return at_most(float(off_s[worst]) * 1e3, float(allowed_s[worst]) * 1e3, "ms", digits=0)


@claim("05.6", "two choices beat taking turns, and taking turns beats chance",
       ask="p99 with two choices, in ms", floor=20.0)  # fmt: skip
def order_of_policies(points: pd.DataFrame) -> Finding:
    """Decide on the order of the p99: least outstanding is as good as two choices, or better."""
    p99_s = _require_policies(points, "random", "round_robin", "power_of_two", "least_outstanding")
    chance_s, turns_s, two_s, least_s = (
        float(p99_s[name])
        for name in ("random", "round_robin", "power_of_two", "least_outstanding")
    )
    holds = max(two_s, least_s) <= turns_s <= chance_s
    seen = " < ".join(f"{1e3 * s:.0f}" for s in (two_s, turns_s, chance_s)) + " ms"
    fewest = int(points["requests"].min())
    require(holds or fewest >= _DECISIVE, f"{seen} is not the order, but {fewest} are few")
    return Finding(holds, seen, "in this order", 1e3 * two_s)


@claim("05.7", "the means lie where chance allows")
def means_in_their_bands(points: pd.DataFrame) -> Finding:
    """Decide on how many of the 99 % bands hold their mean: one may miss."""
    require(len(points) > 1, "there are no runs to compare")
    inside = int(points["mean_s"].between(points["mean_low_s"], points["mean_high_s"]).sum())
    wanted = f"at least {len(points) - 1}"
    return Finding(inside >= len(points) - 1, f"{inside} of {len(points)} inside", wanted)
