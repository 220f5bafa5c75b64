"""Notebook 07: what a death costs, by style of failover.

The kill comes at KILL_AT_S of each run, at RATE_RPS, with a service time of SERVICE_S.
"""

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, equal, require
from lab_utils.runs import Run

KILL_AT_S = 5.0
RATE_RPS = 20.0
SERVICE_S = 0.1


def _lost(run: Run) -> int:
    judged = analysis.select_judged(run.requests)
    require(len(judged) > 0, "no request was sent")
    return int((~judged["ok"]).sum())


def _require_kill(run: Run) -> None:
    require("kill -9" in set(run.faults["name"]), "nothing was killed in this run")


def _served_after(run: Run, start_s: float, end_s: float = float("inf")) -> list[str]:
    requests = run.requests
    chosen = requests[requests["scheduled_s"].between(start_s, end_s) & requests["ok"]]
    require(len(chosen) > 0, f"no request was answered after {start_s:.1f} s")
    return sorted(set(chosen["role"]))


@claim("07.1", "in the steady state no request fails")
def steady_state(run: Run) -> Finding:
    """Decide on a run without a fault."""
    return at_most(_lost(run), 0, "requests", digits=0)


@claim("07.2", "active-active: the outage is over in time")
def active_outage(run: Run) -> Finding:
    """Decide on the outages' length; whoever was being served when it died counts too."""
    _require_kill(run)
    limit_s = theory.kill_window_s().high + SERVICE_S
    return at_most(float(run.outages["duration_s"].sum()), limit_s, "s")


@claim("07.3", "active-active: no more are lost than predicted",
       ask="requests lost when the primary of two active servers is killed")  # fmt: skip
def active_lost(run: Run) -> Finding:
    """Decide on the upper end of the Poisson band for the longest window."""
    _require_kill(run)
    window_s = theory.kill_window_s().high + SERVICE_S
    limit = theory.lost_requests(RATE_RPS, 0.5, window_s).high
    return at_most(_lost(run), limit, "requests", digits=0)


@claim("07.4", "active-active: then the backup serves alone")
def active_backup_alone(run: Run) -> Finding:
    """Decide on who answers between the take-over and the primary's return."""
    _require_kill(run)
    return equal(_served_after(run, KILL_AT_S + theory.kill_window_s().high, 9), ["backup"])


@claim("07.5", "selector switch: the switch was thrown")
def switch_thrown(switched: bool) -> Finding:
    """Decide on what the switch says of itself."""
    return equal(switched, True)


@claim("07.6", "selector switch: the outage is in its range",
       ask="requests lost until the selector is switched")  # fmt: skip
def switch_outage(run: Run) -> Finding:
    """Decide on the outages' length; the prediction is of the requests lost."""
    _require_kill(run)
    limit_s = theory.selector_switch_s(theory.kill_window_s()).high + SERVICE_S
    found = at_most(float(run.outages["duration_s"].sum()), limit_s, "s")
    return Finding(found.holds, found.seen, found.wanted, _lost(run))


@claim("07.7", "selector switch: the backup has taken over for good")
def switch_is_final(run: Run) -> Finding:
    """Decide on who answers after the switch, the primary's return included."""
    _require_kill(run)
    after_s = KILL_AT_S + theory.selector_switch_s(theory.kill_window_s()).high
    return equal(_served_after(run, after_s), ["backup"])


@claim("07.8", "client-side: no request is lost",
       ask="requests lost when the client knows both servers")  # fmt: skip
def client_lost(run: Run) -> Finding:
    """Decide on a client that asks the next server within the same request."""
    _require_kill(run)
    return at_most(_lost(run), 0, "requests", digits=0)


@claim("07.9", "client-side: the backup answers the second attempts")
def client_second_attempts(run: Run) -> Finding:
    """Decide on who answered what the first server did not."""
    retried = run.requests[run.requests["attempts"] > 1]
    require(len(retried) > 0, "no request needed a second attempt")
    return equal(sorted(set(retried["role"])), ["backup"])


@claim("07.10", "nobody loses less than the client-side style")
def client_is_best(active: Run, switch: Run, client: Run) -> Finding:
    """Decide on the order of the losses."""
    others, own = [_lost(active), _lost(switch)], _lost(client)
    return Finding(own <= min(others), f"{own} against {others}", "no more than the others")
