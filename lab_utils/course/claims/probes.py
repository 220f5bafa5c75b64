"""Notebook 06: how long a dead server goes unnoticed, and what a probe must not do."""

import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, require
from lab_utils.runs import Run

RATE_RPS = 20.0
SERVICE_S = 0.1
PAUSE_S = 4.0
_SLACK_S = 1.5
"""What a busy kubelet, the API and a watch may add to a range."""
_LEVEL = 0.999


def _restarts(run: Run) -> dict[str, int]:
    """Count the restarts within a run, by role."""
    counts = run.usage.groupby("role")["restarts"]
    return {str(role): int(n) for role, n in (counts.max() - counts.min()).items()}


@claim("06.1", "in the steady state no request fails")
def steady_state(run: Run) -> Finding:
    """Decide on a run without a fault."""
    judged = analysis.select_judged(run.requests)
    require(len(judged) > 0, "no request was sent")
    return at_most(int((~judged["ok"]).sum()), 0, "requests", digits=0)


@claim("06.2", "each hang is noticed when its probe says",
       ask="seconds until the lab's probe notices a hang", floor=0.5)  # fmt: skip
def hangs_are_noticed(points: pd.DataFrame) -> Finding:
    """Decide on [(F-1) T + tau, F T + tau + 1.5 s] of every hang; a probe may be on its way."""
    hangs = points[points["fault"] == "hang"]
    require(len(hangs) > 0, "nothing hung in this run")
    late = hangs["detected_s"].isna() | (hangs["detected_s"] > hangs["high_s"] + _SLACK_S)
    early = hangs["detected_s"] < hangs["low_s"] - SERVICE_S
    inside = int((~late & ~early).sum())
    ours_s = float(hangs.loc[hangs["role"] == "primary", "detected_s"].mean())
    seen, wanted = f"{inside} of {len(hangs)} in their ranges", f"{len(hangs)}"
    return Finding(inside == len(hangs), seen, wanted, ours_s)


@claim("06.3", "half of what comes until then is lost",
       ask="requests lost in a hang of one of two pods")  # fmt: skip
def hang_loses(points: pd.DataFrame, run: Run) -> Finding:
    """Decide on the Poisson band for the measured window, and up to a second of kube-proxy's."""
    hangs = points[(points["fault"] == "hang") & (points["role"] == "primary")]
    unnoticed = int(hangs["detected_s"].isna().sum())
    require(len(hangs) > 0 and not unnoticed, "the primary's hang was not there, or not noticed")
    require(not any(_restarts(run).values()), "a pod was restarted meanwhile")
    windows_s = float(hangs["detected_s"].sum()) + SERVICE_S * len(hangs)
    longest_s = windows_s + theory.failures.PROXY_SYNC_S * len(hangs)
    low = theory.lost_requests(RATE_RPS, 0.5, windows_s, level=_LEVEL).low
    high = theory.lost_requests(RATE_RPS, 0.5, longest_s, level=_LEVEL).high
    lost = int((~analysis.select_judged(run.requests)["ok"]).sum())
    seen, wanted = f"{lost} requests", f"{low:.0f} to {high:.0f} requests"
    return Finding(low <= lost <= high, seen, wanted, lost / len(hangs))


@claim("06.4", "a crash is noticed at once, whatever the probe")
def crash_needs_no_probe(points: pd.DataFrame) -> Finding:
    """Decide on the slowest of the kubelet's looks at its containers."""
    crashes = points[points["fault"] == "kill -9"]
    require(len(crashes) > 0, "nothing was killed in this run")
    slowest_s = float(crashes["detected_s"].fillna(float("inf")).max())
    limit_s = theory.failures.PLEG_RELIST_S + theory.failures.API_S + 0.4
    return at_most(slowest_s, limit_s, "s")


@claim("06.5", "a pod that starts gets no requests",
       ask="seconds from a crash until the pod is Ready again", floor=0.5)  # fmt: skip
def starting_pods_are_spared(points: pd.DataFrame, run: Run) -> Finding:
    """Decide on requests that failed after the window of the crash, while the pod was starting."""
    crashes = points[(points["fault"] == "kill -9") & (points["role"] == "primary")]
    require(len(crashes.dropna()) > 0, "the primary was not ready again in this run")
    crash_s, back_s = (float(crashes[name].iloc[0]) for name in ("start_s", "back_s"))
    judged = analysis.select_judged(run.requests)
    settled_s = crash_s + theory.kill_window_s().high
    mine = judged[judged["scheduled_s"] > settled_s]
    require(len(mine) > 0, "no request was sent while the pod was starting")
    found = at_most(int((~mine["ok"]).sum()), 0, "requests", digits=0)
    return Finding(found.holds, found.seen, found.wanted, back_s)


@claim("06.6", "only the impatient liveness probe restarts a pod that pauses")
def impatience_restarts(run: Run) -> Finding:
    """Decide on the restarts of two pods that paused at the same time."""
    _require_pauses(run)
    restarts = _restarts(run)
    mine, other = restarts.get("backup", 0), restarts.get("primary", 0)
    seen, wanted = f"{mine} restarts against {other}", "at least 1 against 0"
    return Finding(mine >= 1 and other == 0, seen, wanted)


@claim("06.7", "the restart costs more than the pause it cures",
       ask="seconds without an answer from the impatient pod", floor=0.5)  # fmt: skip
def restart_costs_more(run: Run) -> Finding:
    """Decide on how long either pod was silent: the restarted one 2 s longer, at least."""
    _require_pauses(run)
    start_s = float(run.faults["start_s"].min())
    silent = analysis.silences(run.requests)
    silent_s = silent[silent["end_s"] > start_s].groupby("role")["duration_s"].sum()
    mine_s, other_s = (float(silent_s.get(role, 0.0)) for role in ("backup", "primary"))
    seen, wanted = f"{mine_s:.1f} s against {other_s:.1f} s", "at least 2 s more"
    return Finding(mine_s >= other_s + 2, seen, wanted, mine_s)


def _require_pauses(run: Run) -> None:
    lasted_s = (run.faults["end_s"] - run.faults["start_s"])[run.faults["name"] == "hang"]
    paused = set(run.faults.loc[lasted_s[lasted_s >= PAUSE_S - 0.1].index, "target"])
    require({"primary", "backup"} <= paused, f"both pods must pause for {PAUSE_S:g} s")
