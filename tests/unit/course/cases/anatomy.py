"""Cases of notebook 01."""

import pandas as pd

from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered

ONE_BY_ONE = simple_run([answered(k * 0.103) for k in range(60)])
SLOW = simple_run([answered(k, service_s=0.2, queue_s=0.05, over_s=0.02) for k in range(60)])
SPREAD = simple_run([answered(k, "backup" if k % 2 else "primary") for k in range(60)])
DISTURBED = simple_run([answered(k, over_s=0.007 if k % 4 else 0.003) for k in range(60)])
CALLS = pd.DataFrame({"v2 client": [103.0] * 30, "OpenAI client": [105.0] * 30})
BOASTED = simple_run([answered(1) | {"service_s": 0.2}])

CASES = {
    "01.1": ([ONE_BY_ONE], [BOASTED]),
    "01.2": ([ONE_BY_ONE], [SLOW]),
    "01.3": ([ONE_BY_ONE], [SLOW]),
    "01.4": ([ONE_BY_ONE], [SLOW]),
    "01.5": ([ONE_BY_ONE], [SPREAD]),
    "01.6": ([SPREAD], [ONE_BY_ONE]),
    "01.7": ([ONE_BY_ONE, CALLS], [ONE_BY_ONE, CALLS + 20]),
}
UNDECIDED = {"01.1": [NOTHING], "01.2": [NOTHING], "01.4": [DISTURBED], "01.7": [SLOW, CALLS + 110]}
