"""What the embedded cluster costs while nobody uses it: memory and CPU of its own processes.

Memory is PSS, so that pages which several processes share count once; it is read after clients have
asked for everything that the API server makes on demand. The pods' own processes are not counted as
memory, and are as CPU.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

from lab_utils.controlplane.config import RUN_MARK, ClusterConfig, Layout
from lab_utils.controlplane.processes import marked
from lab_utils.session import Lab
from lab_utils.settings import cluster_root, load_settings
from tests.bench.rows import Row, at_most

SETTLE_S = 10.0
IDLE_S = 30.0
ON_DEMAND = ("/api", "/apis", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1")


def bench() -> Iterator[Row]:
    """Look at a cluster without pods, then with two idle ones."""
    lab = Lab(load_settings(backend="embedded", cluster="bench"))
    lab.down()
    try:
        lab.up()
        run_id = ClusterConfig.load(Layout(cluster_root(lab.settings, "embedded")).config).run_id
        yield at_most("CPU of a cluster without pods", idle_pct(run_id), "%", 2.0)
        lab.ensure()
        for path in ON_DEMAND:
            lab.cluster.api.request("Benchmark", "GET", path)
        yield at_most("CPU of a cluster with two idle pods", idle_pct(run_id), "%", 5.0)
        yield at_most("PSS of control plane and kubelets", own_pss_mib(run_id), "MiB", 160.0)
    finally:
        lab.down()


def idle_pct(run_id: str) -> float:
    """Give the share of one core that all processes of a cluster use."""
    time.sleep(SETTLE_S)
    before_s, started_s = cpu_s(run_id), time.monotonic()
    time.sleep(IDLE_S)
    return 100 * (cpu_s(run_id) - before_s) / (time.monotonic() - started_s)


def cpu_s(run_id: str) -> float:
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in marked(RUN_MARK, run_id))


def own_pss_mib(run_id: str) -> float:
    """Add up the PSS of guard, control plane and kubelets."""
    return sum(
        int(re.findall(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[0])
        / 1024
        for pid in marked(RUN_MARK, run_id)
        if b"lab_utils.controlplane" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
