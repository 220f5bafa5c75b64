"""Notebook 08: what a rolling update loses, and what a drain may take.

Each rollout replaces the pods of one Deployment, one by one. What is lost is decided by the pods
that leave, so a claim wants at least one that has left within the run.
"""

import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, equal, require, within
from lab_utils.runs import Run

PODS = 2
_SLACK_S = 1.5
"""How much later than its time a step of the cluster may come on a busy machine."""


def _lost(run: Run) -> pd.DataFrame:
    judged = analysis.select_judged(run.requests)
    return judged[~judged["ok"]]


def _began_s(run: Run, fault: str) -> float:
    starts_s = run.faults.loc[run.faults["name"] == fault, "start_s"]
    require(len(starts_s) > 0, f"there was no {fault} in this run")
    return float(starts_s.iloc[0])


def _pods(run: Run) -> pd.DataFrame:
    pods = run.states[run.states["kind"] == "pod"]
    require(len(pods) > 0, "the pods were not watched")
    return pods


def _left_s(run: Run) -> "pd.Series[float]":
    """Say when each pod was told to go, of those that have gone."""
    pods = _pods(run)
    told_s = pods[pods["reason"] == "Terminating"].groupby("name")["t_s"].min()
    gone = pods.loc[pods["reason"] == "Deleted", "name"]
    return told_s[told_s.index.isin(gone)]


def _require_left(run: Run) -> None:
    require(len(_left_s(run)) > 0, "no pod has left within the run: the machine was too slow")


def _evicted(run: Run) -> int:
    """Count the pods that were told to go since the drain began."""
    pods = _pods(run)
    told = pods[(pods["reason"] == "Terminating") & (pods["t_s"] > _began_s(run, "drain"))]
    return int(told["name"].nunique())


def _fewest_ready(run: Run) -> int:
    """Count the fewest pods Ready at a time, those that a busy machine made fail a probe aside."""
    pods = _pods(run).sort_values("t_s")
    was_ready = pods.groupby("name")["ready"].shift(fill_value=False)
    flapped = was_ready & ~pods["ready"] & ~pods["reason"].isin(["Terminating", "Deleted"])
    require(not flapped.any(), "a pod that was not to leave failed its probe: a busy machine")
    return int(analysis.replicas(run.states)["ready"].min())


def _nothing_lost(run: Run) -> Finding:
    _began_s(run, "rollout")
    _require_left(run)
    return at_most(len(_lost(run)), 0, "requests", digits=0)


@claim("08.1", "before the rollout no request fails")
def steady_before(run: Run) -> Finding:
    """Decide on the requests that were due before it began."""
    before = run.requests["scheduled_s"] < _began_s(run, "rollout")
    require(bool(before.any()), "no request was due before the rollout")
    return at_most(int((~run.requests.loc[before, "ok"]).sum()), 0, "requests", digits=0)


@claim("08.2", "pods that end at once lose requests, and only while they leave",
       ask="requests lost when two pods that end at once are replaced", floor=2.0)  # fmt: skip
def naive_loses(run: Run) -> Finding:
    """Decide on where the losses lie: around the end of a pod, until every node knows of it."""
    _require_left(run)
    lost = _lost(run)
    require(len(lost) > 0, "by chance nothing was lost")
    until_s = theory.departure_window_s().high + _SLACK_S
    since_s = lost["scheduled_s"].to_numpy()[:, None] - _left_s(run).to_numpy()
    near = ((since_s > -_SLACK_S) & (since_s < until_s)).any(axis=1)
    seen = f"{len(lost)} lost, {int((~near).sum())} of them elsewhere"
    return Finding(bool(near.all()), seen, "some lost, none elsewhere", len(lost))


@claim("08.3", "there are never fewer ready pods than wanted",
       ask="fewest ready pods during the rollout")  # fmt: skip
def capacity_is_kept(run: Run) -> Finding:
    """Decide on the pods that are Ready and not leaving: maxUnavailable is 0."""
    _require_left(run)
    fewest = _fewest_ready(run)
    return Finding(fewest >= PODS, f"{fewest} pods", f"at least {PODS}", fewest)


@claim("08.4", "one pod at a time takes as long as all pods one after the other",
       ask="seconds from the rollout's begin until both pods are new", floor=0.5)  # fmt: skip
def rollout_takes_its_time(run: Run) -> Finding:
    """Decide on the time to the last new pod's readiness, against the pods' own starts."""
    began_s, pods = _began_s(run, "rollout"), _pods(run)
    new = pods[pods["t_s"] >= began_s].groupby("name").filter(lambda pod: ~pod["ready"].iloc[0])
    ready_s = new[new["ready"]].groupby("name")["t_s"].min()
    require(len(ready_s) == PODS, f"{len(ready_s)} of {PODS} new pods became ready in the run")
    starts_s = ready_s - new.groupby("name")["t_s"].min().loc[ready_s.index]
    wanted_s = theory.rollout_s(PODS, 1, float(starts_s.mean()))
    took_s = float(ready_s.max()) - began_s
    require(took_s < wanted_s + 2 * _SLACK_S, "the cluster itself was slow: a busy machine")
    return within(took_s, wanted_s - 0.1, wanted_s + 2 * _SLACK_S, "s")


@claim("08.5", "with a pause before SIGTERM new connections lose nothing",
       ask="requests lost with a pause before SIGTERM")  # fmt: skip
def pause_saves_new_connections(run: Run) -> Finding:
    """Decide on a run whose requests each open a connection."""
    require(not run.settings["keep_alive"], "the connections of this run were kept")
    return _nothing_lost(run)


@claim("08.6", "kept connections lose no more than what is in service",
       ask="requests lost on kept connections, in spite of the pause", floor=1.0)  # fmt: skip
def kept_lose_what_is_in_service(run: Run) -> Finding:
    """Decide on Little's law: all pods together have lambda S in service, Poisson."""
    require(bool(run.settings["keep_alive"]), "the connections of this run were not kept")
    _require_left(run)
    lost = len(_lost(run))
    require(lost > 0, "by chance nothing was in service")
    in_service = run.settings["rate_rps"] * run.settings["service_ms"] / 1e3
    return at_most(lost, theory.poisson_band(in_service, level=0.999).high, "requests", digits=0)


@claim("08.7", "pods that drain and say goodbye lose nothing",
       ask="requests lost on kept connections when pods drain")  # fmt: skip
def drain_loses_nothing(run: Run) -> Finding:
    """Decide on the same load and the same rollout."""
    require(bool(run.settings["keep_alive"]), "the connections of this run were not kept")
    return _nothing_lost(run)


@claim("08.8", "a budget that nobody can meet stops the drain")
def impossible_budget_blocks(run: Run) -> Finding:
    """Decide on the pods that were told to go."""
    return equal(_evicted(run), 0)


@claim("08.9", "a budget that can be met lets the pods move, one by one, and nothing is lost",
       ask="fewest ready pods while their node is drained")  # fmt: skip
def drain_keeps_its_budget(run: Run) -> Finding:
    """Decide on who was told to go, on who was left at any time, and on what was lost."""
    evicted = _evicted(run)
    require(evicted == PODS, f"{evicted} of {PODS} pods were evicted within the run")
    fewest, lost = _fewest_ready(run), len(_lost(run))
    seen = f"{fewest} ready, {lost} lost"
    return Finding(fewest >= 1 and lost == 0, seen, "at least 1 ready, none lost", fewest)
