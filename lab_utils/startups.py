"""What the start of each pod's worker took, in its own words.

A pod's status has whole seconds only, and the probes look once a second; the worker knows to the
hundredth when its process began and when it listened.
"""

import math
from typing import TYPE_CHECKING

from lab_utils.cluster import Cluster
from lab_utils.conditions import is_ready
from lab_utils.states import role_of
from lab_utils.units import parse_cores
from lab_utils.usage import parse_metrics

if TYPE_CHECKING:
    import pandas as pd

_PORT = 8000
_TOOK, _CPU = "lab_start_seconds", "lab_start_cpu_seconds"
_STOOD = "lab_cpu_throttled_seconds_total"


def read_starts(cluster: Cluster) -> "pd.DataFrame":
    """Ask every Ready pod of the lab for its start.

    Args:
        cluster: Where the pods are.

    Returns:
        One row per pod with a CPU limit that can tell: pod, role, limit_cores, cpu_s (CPU seconds
        until it listened), startup_s (seconds since its process began), stood_still (share of
        startup_s for which the limit has stopped it since; NaN where the kernel does not say).

    Raises:
        ClusterError: A pod does not answer.
    """
    import pandas as pd

    rows = []
    for pod in filter(is_ready, cluster.pods()):
        limit = pod["spec"]["containers"][0]["resources"].get("limits", {}).get("cpu")
        name = pod["metadata"]["name"]
        text = cluster.proxy_pod(name, _PORT, "/metrics")
        told = parse_metrics(text, (_TOOK, _CPU, _STOOD))
        if limit and _TOOK in told:
            stood_still = told.get(_STOOD, math.nan) / told[_TOOK]
            row = (name, role_of(pod), parse_cores(limit), told[_CPU], told[_TOOK], stood_still)
            rows.append(row)
    columns = ["pod", "role", "limit_cores", "cpu_s", "startup_s", "stood_still"]
    return pd.DataFrame(rows, columns=columns).sort_values("limit_cores", ignore_index=True)
