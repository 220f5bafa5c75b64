"""Cases of notebook 07."""

from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import KILL, NOTHING, answered, run

HANG = [{"start_s": 5.0, "end_s": 11.0, "name": "hang", "target": "primary"}]
STEADY = run((0, 10, "primary"), faults=[])
SHORT = run((0, 5, "primary"), (5, 5.5, ""), (5.5, 20, "backup"), outage_s=0.5)
LEASE = run((0, 5, "primary"), (5, 8.7, ""), (8.7, 20, "backup"), outage_s=3.7)
LONG = run((0, 5, "primary"), (5, 12, ""), (12, 20, "primary"), outage_s=7.0)
TOUCHING = run((0, 5, "primary"), (5, 8.1, ""), (8.1, 20, "backup"), outage_s=3.1)
NONE_LOST = run((0, 5, "primary"), (5, 20, "backup"))
RETRIED = simple_run([answered(5, "backup", attempts=2)], faults=KILL)
UNHELPED = simple_run([answered(5, "primary", attempts=2)], faults=KILL)
FROZEN = [answered(5 + k / 20, over_s=6 - k / 20) for k in range(80)]
SPLIT = simple_run([*FROZEN, *(answered(k, "backup") for k in range(9, 15))], faults=HANG)
FENCED = simple_run([answered(4), *(answered(k, "backup") for k in range(9, 15))], faults=HANG)

CASES = {
    "07.1": ([STEADY], [LONG]),
    "07.2": ([SHORT], [LONG]),
    "07.3": ([SHORT], [LONG]),
    "07.4": ([SHORT], [run((0, 20, "primary"))]),
    "07.5": ([SHORT], [LONG]),
    "07.6": ([LEASE], [SHORT]),
    "07.7": ([SPLIT], [FENCED]),
    "07.8": ([RETRIED], [UNHELPED]),
    "07.9": ([LONG], [SHORT]),
    "07.10": ([SHORT, SHORT, LEASE, NONE_LOST], [NONE_LOST, LEASE, LEASE, SHORT]),
}
UNDECIDED = {
    "07.1": [NOTHING],
    "07.2": [STEADY],
    "07.3": [STEADY],
    "07.4": [run((0, 5, "primary"))],
    "07.5": [STEADY],
    "07.6": [run((0, 5, "primary"))],
    "07.7": [simple_run(FROZEN, faults=HANG)],
    "07.8": [NONE_LOST],
    "07.9": [STEADY],
    "07.10": [SHORT, LEASE, TOUCHING, NONE_LOST],
}
