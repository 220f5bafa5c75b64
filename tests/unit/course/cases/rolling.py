"""Cases of notebook 08."""

from dataclasses import replace

from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import requests

ROLLOUT = [{"start_s": 1.0, "end_s": 1.0, "name": "rollout", "target": "primary"}]
DRAIN = [{"start_s": 1.0, "end_s": 6.0, "name": "drain", "target": "primary"}]
STEADY = (0, 10, "primary")
LOSING = ((0, 2.5, "primary"), (2.5, 3.0, ""), (3.0, 10, "primary"))
EARLY = ((0, 0.5, ""), (0.5, 10, "primary"))


def pod(name, *changes):
    """Make the states of a pod from (t_s, reason); it is ready while it is "Running"."""
    return [
        {"t_s": t_s, "kind": "pod", "name": name, "ready": reason == "Running", "reason": reason}
        for t_s, reason in changes
    ]


def old(name, leaves_s):
    return pod(name, (-0.1, "Running"), (leaves_s, "Terminating"), (leaves_s + 2, "Deleted"))


def new(name, begins_s, ready_s):
    return pod(name, (begins_s, "Pending"), (ready_s, "Running"))


ROLLED = [*old("a", 2.5), *old("b", 4.0), *new("c", 1.0, 2.4), *new("d", 2.5, 3.9)]
"""Two pods, replaced one after the other, each 1.4 s after its successor began."""
STAYED = [*pod("a", (-0.1, "Running")), *pod("b", (-0.1, "Running"))]
ALONE = [*old("a", 1.5), *pod("b", (-0.1, "Running")), *new("c", 1.5, 3.0)]
SLOW = [*old("a", 2.0), *old("b", 2.1), *new("c", 1.0, 2.4), *new("d", 1.0, 2.4)]
MOVED = [*old("a", 1.1), *old("b", 3.0), *new("c", 1.1, 2.8), *new("d", 3.0, 4.8)]
NOBODY = [*old("a", 1.1), *old("b", 1.1), *new("c", 1.1, 2.8), *new("d", 1.1, 2.8)]


def run(*spans, states=ROLLED, faults=ROLLOUT, keep_alive=False):
    settings = {"rate_rps": 20.0, "service_ms": 100.0, "keep_alive": keep_alive}
    made = simple_run(requests(*spans), faults=faults, settings=settings)
    return replace(made, states=make_table("states", states))


FINE, LOST = run(STEADY), run(*LOSING)
KEPT_FINE, KEPT_LOST = run(STEADY, keep_alive=16), run(*LOSING, keep_alive=16)
STUCK = run(STEADY, states=STAYED, faults=DRAIN)
DRAINED = run(STEADY, states=MOVED, faults=DRAIN)

CASES = {
    "08.1": ([LOST], [run(*EARLY)]),
    "08.2": ([LOST], [run(*EARLY)]),
    "08.3": ([FINE], [run(STEADY, states=ALONE)]),
    "08.4": ([FINE], [run(STEADY, states=SLOW)]),
    "08.5": ([FINE], [LOST]),
    "08.6": ([run((0, 4, "primary"), (4, 4.1, ""), keep_alive=16)], [KEPT_LOST]),
    "08.7": ([KEPT_FINE], [KEPT_LOST]),
    "08.8": ([STUCK], [DRAINED]),
    "08.9": ([DRAINED], [run(STEADY, states=NOBODY, faults=DRAIN)]),
}
UNDECIDED = {
    "08.1": [run(STEADY, faults=[])],
    "08.2": [FINE],
    "08.3": [run(STEADY, states=[*ROLLED, *pod("e", (0, "Running"), (1, "Unhealthy"))])],
    "08.4": [run(STEADY, states=ALONE)],
    "08.5": [run(STEADY, states=STAYED)],
    "08.6": [KEPT_FINE],
    "08.7": [run(STEADY, states=STAYED, keep_alive=16)],
    "08.9": [run(STEADY, states=ALONE, faults=DRAIN)],
}
