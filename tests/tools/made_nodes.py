"""A made run in which a machine freezes, dies or is drained, with the states that tell of it."""

import math

import numpy as np

from lab_utils.runs import Run
from tests.tools.made_runs import simple_run

AT_S, END_S, RATE_RPS = 2.0, 22.0, 20
NEVER = math.inf


def node_run(
    fault: str,
    *,
    not_ready_s: float = NEVER,
    given_up_s: float = NEVER,
    replaced_s: float = NEVER,
    back_s: float = NEVER,
    lost_s: float | None = None,
) -> Run:
    """Make a run in which the primary's machine is hit at AT_S.

    Args:
        fault: As the faults table calls it: "stop node".
        not_ready_s: When the machine is NotReady, in seconds since the fault.
        given_up_s: When the primary is to be deleted.
        replaced_s: When another primary is Ready.
        back_s: When the machine is Ready again.
        lost_s: For how long every other request is lost; until the machine is NotReady if None.
    """
    unready_s = min(not_ready_s, given_up_s)
    stays_s = back_s if given_up_s == NEVER else NEVER
    rows = [
        *(_state(-1, "node", name, "", name, True, "KubeletReady") for name in ("m1", "m2")),
        _state(-1, "pod", "a", "primary", "m1", True, "Running"),
        _state(-1, "pod", "b", "backup", "m2", True, "Running"),
        _state(-1, "endpoint", "a", "primary", "m1", True, "inference"),
        _state(not_ready_s, "node", "m1", "", "m1", False, "NodeStatusUnknown"),
        _state(back_s, "node", "m1", "", "m1", True, "KubeletReady"),
        _state(unready_s, "pod", "a", "primary", "m1", False, "Running"),
        _state(unready_s, "endpoint", "a", "primary", "m1", False, "inference"),
        _state(given_up_s, "pod", "a", "primary", "m1", False, "Terminating"),
        _state(given_up_s, "pod", "c", "primary", "m2", False, "Pending"),
        _state(replaced_s, "pod", "c", "primary", "m2", True, "Running"),
        _state(stays_s, "pod", "a", "primary", "m1", True, "Running"),
    ]
    lost = min(not_ready_s if lost_s is None else lost_s, END_S - AT_S)
    count = int(lost * RATE_RPS / 2)
    outage = {"start_s": AT_S, "end_s": AT_S + lost, "duration_s": lost, "lost": count}
    return simple_run(
        list(_requests(AT_S + lost, AT_S + min(replaced_s, back_s))),
        faults=[{"start_s": AT_S, "end_s": END_S, "name": fault, "target": "primary"}],
        outages=[outage] if lost else [],
        states=sorted((row for row in rows if row["t_s"] <= END_S), key=lambda row: row["t_s"]),
    )


def _state(after_s, kind, name, role, node, ready, reason):
    at_s = 0.0 if after_s < 0 else AT_S + after_s
    return {"t_s": at_s, "kind": kind, "name": name, "role": role, "node": node,
            "ready": ready, "reason": reason}  # fmt: skip


def _requests(until_s, again_s):
    """Send every other request to the primary: lost at first, then spared until it is Ready."""
    random = np.random.default_rng(1)
    for number in range(int(END_S * RATE_RPS)):
        due_s = number / RATE_RPS
        role = ("primary", "backup")[number % 2]
        row = {"request_id": number, "scheduled_s": due_s, "sent_s": due_s, "lag_s": 0.0}
        if role == "primary" and AT_S <= due_s < until_s:
            yield row | {"done_s": due_s + 1, "ok": False, "error": "timeout"}
            continue
        role = "backup" if until_s <= due_s < again_s else role
        latency_s = 0.1 + random.exponential(0.005)
        yield row | {
            "done_s": due_s + latency_s, "latency_s": latency_s, "ok": True, "role": role,
            "pod": {"primary": "a", "backup": "b"}[role], "service_s": 0.1, "queue_s": 0.0,
        }  # fmt: skip
