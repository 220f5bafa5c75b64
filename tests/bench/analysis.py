"""A million requests analysed and charted: how long it takes, and how much memory.

And fleets: ten million requests on 10 000 workers. Each in a process of its own, so that the memory
is its own.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.rows import Row, at_most

ROUNDS = 3
MILLION = 1_000_000

ANALYSE = """
import json, resource, sys, time
import numpy as np
import pandas as pd
from dataclasses import replace
import matplotlib
matplotlib.use("Agg")
from lab_utils import analysis, charts
from tests.tools.made_runs import made_run

n, random = int(sys.argv[1]), np.random.default_rng(1)
due_s = np.cumsum(random.exponential(0.001, n))
dead = (due_s % 100 > 50) & (due_s % 100 < 51)
latency_s = np.where(dead, np.nan, 0.02 + random.exponential(0.01, n))
role = np.where(dead, "", np.where(random.random(n) < 0.5, "primary", "backup"))
requests = pd.DataFrame({
    "request_id": np.arange(n), "scheduled_s": due_s, "sent_s": due_s + 1e-4, "lag_s": 1e-4,
    "done_s": due_s + 0.03, "latency_s": latency_s, "ok": ~dead, "status": 200, "attempts": 1,
    "error": pd.array(np.where(dead, "reset", ""), dtype="str"), "hedged": False, "batch_size": 1,
    "pod": pd.array(role, dtype="str"), "node": pd.array(role, dtype="str"),
    "role": pd.array(role, dtype="str"), "queue_s": 1e-4, "service_s": 0.02,
})
run = replace(made_run(), requests=requests, settings={}, interrupted=False)
started_s = time.perf_counter()
run = replace(run, outages=analysis.tell_outages({
    name: getattr(run, name) for name in ("requests", "faults", "states", "events")
}))
summary = analysis.summarize(run)
analysis.percentiles(requests["latency_s"], (0.5, 0.9, 0.95, 0.99, 0.999))
analysis.errors(requests), analysis.parts(requests), analysis.goodput(requests, slo_s=0.1)
with charts.style():
    charts.dashboard(run)["timeline"].figure.canvas.draw()
print(json.dumps({
    "all_s": time.perf_counter() - started_s, "n": summary["requests"],
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""

FLEET = """
import json, resource, sys, time
import numpy as np
from lab_utils.simulation import simulate_fleet

pool_s = np.random.default_rng(1).exponential(0.1, 100_000)
started_s = time.perf_counter()
simulate_fleet(10_000, 0.8, pool_s, policy=sys.argv[1], requests=10_000_000)
print(json.dumps({
    "all_s": time.perf_counter() - started_s,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def run_alone(code: str, argument: object) -> dict[str, float]:
    """Run code in a process of its own and read what it prints last."""
    command = [sys.executable, "-c", code, str(argument)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def bench() -> Iterator[Row]:
    """Measure both."""
    rounds = [run_alone(ANALYSE, MILLION) for _ in range(ROUNDS)]
    all_s = [one["all_s"] for one in rounds]
    yield at_most("1 million requests analysed and charted", all_s, "s", 5)
    peaks = [one["peak_mib"] for one in rounds]
    yield at_most("memory for it, the run itself included", peaks, "MiB", 1024)
    for policy in ("random", "round_robin", "power_of_two", "least_outstanding"):
        fleet = run_alone(FLEET, policy)
        yield at_most(f"10 million requests on 10 000: {policy}", fleet["all_s"], "s", 30)
        yield at_most(f"memory for it: {policy}", fleet["peak_mib"], "MiB", 1024)
