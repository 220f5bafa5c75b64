"""Notebook 07: what a death costs, by style of failover.

Every run is fired at RATE_RPS, with a service time of SERVICE_S and one fault; when that came is
read off the run.
"""

import math

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, equal, require
from lab_utils.runs import Run
from lab_utils.theory import Band

RATE_RPS = 20.0
SERVICE_S = 0.1
START_S = 3.5
"""0.35 CPU-s at a limit of 0.1 cores: no pod is back earlier than this."""
LEASE_S, RETRY_S = 3.0, 0.5
_SPACING_S = 5 / RATE_RPS
"""Poisson arrivals show the edge of an outage no better than this, but for one run in 150."""


def _lost(run: Run) -> int:
    judged = analysis.select_judged(run.requests)
    require(len(judged) > 0, "no request was sent")
    return int((~judged["ok"]).sum())


def _fault_s(run: Run, name: str) -> float:
    times_s = run.faults.loc[run.faults["name"] == name, "start_s"]
    require(len(times_s) > 0, f"there is no {name!r} in this run")
    return float(times_s.iloc[0])


def _outage_s(run: Run) -> float:
    return float(run.outages["duration_s"].sum())


def _served_after(run: Run, start_s: float, end_s: float = math.inf) -> list[str]:
    requests = run.requests
    chosen = requests[requests["scheduled_s"].between(start_s, end_s) & requests["ok"]]
    require(len(chosen) > 0, f"no request was answered after {start_s:.1f} s")
    return sorted(set(chosen["role"]))


def _switch_s() -> Band:
    return theory.selector_switch_s(theory.kill_window_s())


def _election_s() -> Band:
    return theory.selector_switch_s(theory.lease_takeover_s(LEASE_S, RETRY_S, level=0.999))


@claim("07.1", "in the steady state no request fails")
def steady_state(run: Run) -> Finding:
    """Decide on a run without a fault."""
    return at_most(_lost(run), 0, "requests", digits=0)


@claim("07.2", "active-active: the outage is over in time")
def active_outage(run: Run) -> Finding:
    """Decide on the outages' length; whoever was being served when it died counts too."""
    _fault_s(run, "kill -9")
    return at_most(_outage_s(run), theory.kill_window_s().high + SERVICE_S, "s")


@claim("07.3", "active-active: no more are lost than predicted",
       ask="requests lost when the primary of two active servers is killed")  # fmt: skip
def active_lost(run: Run) -> Finding:
    """Decide on the upper end of the Poisson band for the longest window."""
    _fault_s(run, "kill -9")
    window_s = theory.kill_window_s().high + SERVICE_S
    limit = theory.lost_requests(RATE_RPS, 0.5, window_s, level=0.999).high
    return at_most(_lost(run), limit, "requests", digits=0)


@claim("07.4", "active-active: then the backup serves alone")
def active_backup_alone(run: Run) -> Finding:
    """Decide on who answers between the take-over and the primary's earliest return."""
    killed_s = _fault_s(run, "kill -9")
    taken_s = killed_s + theory.kill_window_s().high
    return equal(_served_after(run, taken_s, killed_s + START_S), ["backup"])


@claim("07.5", "selector switch: the backup takes over in time, and for good",
       ask="requests lost until the selector is switched")  # fmt: skip
def switch_takes_over(run: Run) -> Finding:
    """Decide on the outages' length and on who answers later; the prediction is of the losses."""
    limit_s = _switch_s().high
    served = _served_after(run, _fault_s(run, "kill -9") + limit_s)
    seen_s = _outage_s(run)
    holds = seen_s <= limit_s + SERVICE_S and served == ["backup"]
    wanted = f"at most {limit_s + SERVICE_S:.2f} s, then the backup"
    return Finding(holds, f"{seen_s:.2f} s, then {', '.join(served)}", wanted, _lost(run))


@claim("07.6", "election: the backup takes over when the Lease has run out",
       ask="requests lost until another leader is elected")  # fmt: skip
def election_takes_over(run: Run) -> Finding:
    """Decide on both ends of the range: a Lease is neither forgotten nor ignored."""
    band, seen_s = _election_s(), _outage_s(run)
    served = _served_after(run, _fault_s(run, "kill -9") + band.high)
    low_s, high_s = band.low - _SPACING_S, band.high + SERVICE_S
    holds = low_s <= seen_s <= high_s and served == ["backup"]
    wanted = f"{low_s:.2f} to {high_s:.2f} s, then the backup"
    return Finding(holds, f"{seen_s:.2f} s, then {', '.join(served)}", wanted, _lost(run))


@claim("07.7", "a paused leader answers after it was deposed",
       ask="answers that the deposed leader still gives", floor=2.0)  # fmt: skip
def deposed_leader_answers(run: Run) -> Finding:
    """Decide on the primary's answers that came after the backup's first."""
    _fault_s(run, "hang")
    answered = run.requests[run.requests["ok"]]
    deposed_s = answered.loc[answered["role"] == "backup", "done_s"].min()
    require(deposed_s == deposed_s, "the backup was never elected")
    late = (answered["role"] == "primary") & (answered["done_s"] > deposed_s)
    return Finding(bool(late.any()), f"{late.sum()} answers", "at least 1", float(late.sum()))


@claim("07.8", "client-side: no request is lost, the backup answers second attempts",
       ask="requests lost when the client knows both servers")  # fmt: skip
def client_loses_nothing(run: Run) -> Finding:
    """Decide on a client that asks the next server within the same request."""
    _fault_s(run, "kill -9")
    again = run.requests[(run.requests["attempts"] > 1) & run.requests["ok"]]
    lost, roles = _lost(run), sorted(set(again["role"]))
    require(len(again) + lost > 0, "no request needed a second attempt")
    holds = lost == 0 and roles == ["backup"]
    return Finding(holds, f"{lost} lost, {roles}", "0 lost, ['backup']", lost)


@claim("07.9", "a cold backup costs a start",
       ask="seconds of outage when the backup has to be started first", floor=0.5)  # fmt: skip
def cold_backup_costs_a_start(run: Run) -> Finding:
    """Decide on the outage's length: at least 70 % of CPU-seconds over limit."""
    _fault_s(run, "kill -9")
    seen_s, least_s = _outage_s(run), 0.7 * START_S
    return Finding(seen_s >= least_s, f"{seen_s:.2f} s", f"at least {least_s:.2f} s", seen_s)


@claim("07.10", "the client-side style loses the least, the election the most")
def losses_are_in_order(active: Run, switch: Run, election: Run, client: Run) -> Finding:
    """Decide on the order as far as one death of each can show it.

    The ranges of a and b overlap, so which of them loses more is left to chance; those of b and c
    touch, and a run in which they do decides nothing.
    """
    a, b, c, d = (_lost(run) for run in (active, switch, election, client))
    touching = RATE_RPS * _election_s().low
    require(c >= max(a, b) or max(a, b) < touching, f"a and b lost {a} and {b}, as many as c may")
    holds = d <= min(a, b) and c >= max(a, b)
    return Finding(holds, f"a {a}, b {b}, c {c}, d {d} lost", "d least, c most")
