"""Notebook 13: a hidden fault is named, and a design holds its objective.

RATE_RPS requests a second of 100 ms each; OBJECTIVE_S is what 99 % of them may take, with at most
MOST_PODS pods and MOST_SLOTS slots in all of them.
"""

from lab_utils import analysis
from lab_utils.course.claims import Finding, at_most, claim, require
from lab_utils.course.predictions import Prediction
from lab_utils.hidden import SUSPECTS, Mystery
from lab_utils.runs import Run
from lab_utils.simulation import Server

RATE_RPS = 20.0
OBJECTIVE_S = 0.4
MOST_PODS = 4
MOST_SLOTS = 4
_FEWEST = 300
"""Answers of a run below which its p99 says nothing."""
_LAST_S = 2.0


@claim("13.1", "before anything happens no request fails")
def steady_state(run: Run) -> Finding:
    """Decide on a run without a fault."""
    return at_most(_lost(run, 0.0), 0, "requests", digits=0)


def _lost(run: Run, from_s: float) -> int:
    judged = analysis.select_judged(run.requests)
    judged = judged[judged["scheduled_s"] >= from_s]
    require(len(judged) > 0, "no request was sent")
    return int((~judged["ok"]).sum())


@claim("13.2", "the hidden fault is named from the charts",
       ask="what was broken, and whose", choices=SUSPECTS)  # fmt: skip
def fault_is_named(run: Run, mystery: Mystery, answer: Prediction) -> Finding:
    """Decide on the learner's answer; a wrong one leaves the solution unsaid."""
    require(mystery.name in set(run.faults["name"]), "nothing was hidden in this run")
    require(answer.choice != "", "no suspect is named yet")
    solved = answer.choice == mystery.reveal()
    return Finding(solved, f"you say {answer.choice!r}", "what the evidence says")


@claim("13.3", "when it is over, requests are answered as before")
def healed(steady: Run, run: Run) -> Finding:
    """Decide on the last seconds of the run: nothing fails, and the median is the usual one."""
    require(len(run.faults) > 0, "nothing was broken in this run")
    last = run.requests[run.requests["scheduled_s"] > run.requests["scheduled_s"].max() - _LAST_S]
    require(len(last) >= 20, f"only {len(last)} requests were due in the last {_LAST_S:g} s")
    require(float(run.faults["end_s"].max()) < last["scheduled_s"].min(), "it was not over yet")
    failed, usual_s = int((~last["ok"]).sum()), float(steady.requests["latency_s"].median())
    slower_s = float(last["latency_s"].median()) - usual_s
    seen = f"{failed} failed, median {1e3 * slower_s:+.0f} ms"
    return Finding(failed == 0 and slower_s <= 0.05, seen, "none failed, at most +50 ms")


@claim("13.4", "the design holds its objective, with no more than is paid for",
       ask="p99 of your design, in ms", floor=10.0)  # fmt: skip
def objective_is_held(run: Run, slots: int) -> Finding:
    """Decide on the p99 and the price; a p99 that may lie on either side decides nothing."""
    answered = run.requests[run.requests["ok"]]
    require(len(answered) >= _FEWEST, f"{len(answered)} answers, and a p99 needs {_FEWEST}")
    rate_rps = float(run.settings["rate_rps"])
    require(rate_rps >= RATE_RPS, f"{rate_rps:g} requests a second are too few: {RATE_RPS:g}")
    (row,) = analysis.percentiles(answered["latency_s"], (0.99,)).to_dict("records")
    pods, lost, p99_ms = answered["pod"].nunique(), _lost(run, 0.0), 1e3 * row["latency_s"]
    paid = pods <= MOST_PODS and pods * slots <= MOST_SLOTS
    holds = paid and lost == 0 and row["latency_s"] <= OBJECTIVE_S
    refuted = not paid or lost > 0 or row["low_s"] > OBJECTIVE_S
    require(holds or refuted, f"a p99 of {p99_ms:.0f} ms in so few requests may be chance")
    seen = f"p99 {p99_ms:.0f} ms, {lost} lost, {pods} pods with {pods * slots} slots"
    wanted = f"{1e3 * OBJECTIVE_S:.0f} ms, 0 lost, {MOST_PODS} pods with {MOST_SLOTS} at most"
    return Finding(holds, seen, wanted, p99_ms)


@claim("13.5", "it holds it for the reason in the design: the servers do what their twins do")
def twin_agrees(run: Run, slots: int) -> Finding:
    """Decide on the pod whose mean is furthest from an ideal server's: 20 % or 30 ms."""
    points = analysis.twin(run.requests, Server(slots=slots))
    require(len(points) > 0, "no request was answered")
    over_s = (points["mean_s"] - points["twin_mean_s"]).abs()
    allowed_s = (0.2 * points["twin_mean_s"]).clip(lower=0.03)
    worst = int((over_s - allowed_s).argmax())
    return at_most(1e3 * over_s.iloc[worst], 1e3 * allowed_s.iloc[worst], "ms", digits=0)
