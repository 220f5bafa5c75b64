"""Cases of notebook 07."""

from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import KILL, NOTHING, answered, run

STEADY = run((0, 10, "primary"), faults=[])
SHORT = run((0, 5, "primary"), (5, 5.5, ""), (5.5, 20, "backup"), outage_s=0.5)
LONG = run((0, 5, "primary"), (5, 12, ""), (12, 20, "primary"), outage_s=7.0)
NONE_LOST = run((0, 5, "primary"), (5, 20, "backup"))
RETRIED = simple_run([answered(5, "backup", attempts=2)], faults=KILL)
UNHELPED = simple_run([answered(5, "primary", attempts=2)], faults=KILL)

CASES = {
    "07.1": ([STEADY], [LONG]),
    "07.2": ([SHORT], [LONG]),
    "07.3": ([SHORT], [LONG]),
    "07.4": ([SHORT], [run((0, 20, "primary"))]),
    "07.5": ([True], [False]),
    "07.6": ([SHORT], [LONG]),
    "07.7": ([SHORT], [LONG]),
    "07.8": ([NONE_LOST], [SHORT]),
    "07.9": ([RETRIED], [UNHELPED]),
    "07.10": ([SHORT, LONG, NONE_LOST], [NONE_LOST, LONG, SHORT]),
}
UNDECIDED = {
    "07.1": [NOTHING],
    "07.2": [STEADY],
    "07.3": [STEADY],
    "07.4": [run((0, 5, "primary"))],
    "07.9": [NONE_LOST],
}
