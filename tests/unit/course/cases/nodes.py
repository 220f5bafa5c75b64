"""Cases of notebook 11."""

from dataclasses import replace

from lab_utils.theory import NodePace
from tests.tools.made_nodes import node_run
from tests.unit.course.cases.making import NOTHING, run

PACE = NodePace(grace_s=8, monitor_s=1, renew_s=2, toleration_s=15)
STEADY = run((0, 10, "primary"), faults=[])
FROZEN = node_run("pause node", not_ready_s=7.5, back_s=10)
MISSED_LATE = node_run("pause node", not_ready_s=12, back_s=14)
MOVED = node_run("pause node", not_ready_s=7.5, given_up_s=8, back_s=10)
UNNOTICED = node_run("pause node")
DEAD = node_run("stop node", not_ready_s=7.5, given_up_s=9.5, replaced_s=14)
CLUNG_TO = node_run("stop node", not_ready_s=7.5, given_up_s=15, replaced_s=19)
SLOW_START = node_run("stop node", not_ready_s=2, given_up_s=4, replaced_s=18)
LOSES_ON = node_run("stop node", not_ready_s=7.5, given_up_s=9.5, replaced_s=14, lost_s=18)
NEVER_REPLACED = node_run("stop node", not_ready_s=7.5)
DRAINED = node_run("drain", given_up_s=0, replaced_s=4, lost_s=0.5)
DRAINED_DEAF = node_run("drain", given_up_s=0, replaced_s=4, lost_s=10)
ALL_GONE = replace(DRAINED, states=DRAINED.states[DRAINED.states["role"] != "backup"])

CASES = {
    "11.1": ([STEADY], [DEAD]),
    "11.2": ([FROZEN, PACE], [MISSED_LATE, PACE]),
    "11.3": ([FROZEN, PACE], [MOVED, PACE]),
    "11.4": ([DEAD, PACE], [CLUNG_TO, PACE]),
    "11.5": ([DEAD], [SLOW_START]),
    "11.6": ([DEAD], [LOSES_ON]),
    "11.7": ([DRAINED], [DRAINED_DEAF]),
    "11.8": ([DRAINED], [ALL_GONE]),
}
UNDECIDED = {
    "11.1": [NOTHING],
    "11.2": [UNNOTICED, PACE],
    "11.3": [UNNOTICED, PACE],
    "11.4": [NEVER_REPLACED, PACE],
    "11.5": [NEVER_REPLACED],
    "11.6": [STEADY],
    "11.7": [STEADY],
    "11.8": [STEADY],
}
