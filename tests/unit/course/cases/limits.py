"""Cases of notebook 04."""

from dataclasses import replace

import pandas as pd

from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run
from tests.unit.course.cases.making import NOTHING, answered

MIB = 2**20
STARTS = pd.DataFrame(
    {"limit_cores": [0.05, 0.2], "cpu_s": 0.35, "startup_s": [7.1, 1.7], "stood_still": 0.9}
)
ALL_ALIKE = STARTS.assign(startup_s=3.5)
SLOW_DISK = STARTS.assign(startup_s=[7.1, 3.0], stood_still=[0.95, 0.4])


def points(latencies_ms):
    """Make ten requests around each latency, by (work in ms, limit in millicores)."""
    rows = [
        {"work_s": work / 1e3, "limit_cores": limit / 1e3, "latency_s": (ms + off) / 1e3}
        for (work, limit), (ms, spread) in latencies_ms.items()
        for off in [spread * (k - 4.5) / 9 for k in range(10)]
    ]
    return pd.DataFrame(rows)


STOPWATCH = points({
    (5, 100): (9, 10), (15, 100): (70, 100), (25, 100): (160, 100), (25, 50): (400, 100),
    (25, 200): (60, 100),
})  # fmt: skip
SLOW_CPU = points({
    (5, 100): (50, 2), (15, 100): (150, 2), (25, 100): (250, 2), (25, 50): (500, 2),
    (25, 200): (125, 2),
})  # fmt: skip
FULL_SPEED = points({(5, 100): (5, 1), (15, 100): (15, 1)})
UPSIDE_DOWN = points({(25, 50): (60, 9), (25, 100): (160, 9), (25, 200): (300, 9)})


def throttled(*shares):
    rows = [{"role": "primary", "throttled_share": share} for share in shares]
    return replace(NOTHING, usage=make_table("usage", rows))


def burnt(latency_ms, throttled_share, *, service_ms=5, role="primary"):
    rows = [answered(k, role, service_s=latency_ms / 1e3, over_s=0.0) for k in range(10)]
    limits = {role: {"cpu_cores": 0.1}}
    run = simple_run(rows, settings={"service_ms": service_ms, "limits": limits})
    usage = [{"role": role, "throttled_share": throttled_share}]
    return replace(run, usage=make_table("usage", usage))


def slept(latency_ms, throttled_share=0.0):
    return burnt(latency_ms, throttled_share, service_ms=100, role="backup")


def booked(*pods):
    states = [{"kind": "pod", "name": f"pod-{node}", "node": node, "reason": reason}
              for node, reason in pods]  # fmt: skip
    run = simple_run([answered(k) for k in range(5)])
    return replace(run, states=make_table("states", states))


def ended(reason, code):
    last = {"terminated": {"reason": reason, "exitCode": code}}
    return [{"status": {"containerStatuses": [{"lastState": last, "state": {}}]}}]


def leaked(dies_at_s, *, faults=("leak",), grows_mib_per_s=6):
    rows = [answered(k / 10) for k in range(10 * dies_at_s)]
    rows += [{"scheduled_s": dies_at_s + k, "sent_s": dies_at_s + k, "ok": False} for k in (0, 1)]
    usage = [
        {"t_s": t + 0.5, "role": "backup",
         "memory_bytes": (34 + grows_mib_per_s * max(0, t - 0.5)) * MIB}
        for t in range(dies_at_s)
    ]  # fmt: skip
    happened = [
        {"start_s": 1.0, "end_s": 20.0, "name": name, "target": "backup"} for name in faults
    ]
    run = simple_run(
        rows, faults=happened, settings={"limits": {"backup": {"memory_bytes": 64 * MIB}}}
    )
    return replace(run, usage=make_table("usage", usage))


PLACED = ("n", "Running")
CASES = {
    "04.1": ([STARTS], [ALL_ALIKE]),
    "04.2": ([burnt(9, 0.1)], [burnt(50, 0.9)]),
    "04.3": ([STOPWATCH], [FULL_SPEED]),
    "04.4": ([STOPWATCH], [SLOW_CPU]),
    "04.5": ([throttled(0.8, 0.9)], [throttled(0.0, 0.1)]),
    "04.6": ([STOPWATCH], [UPSIDE_DOWN]),
    "04.7": ([slept(103)], [slept(950, 0.9)]),
    "04.10": ([booked(PLACED, ("", "Pending"))], [booked(PLACED)]),
    "04.8": ([ended("OOMKilled", 137)], [ended("Error", 1)]),
    "04.9": ([leaked(6), 6], [leaked(11), 6]),
}
UNDECIDED = {
    "04.1": [SLOW_DISK],
    "04.2": [burnt(40, 0.1)],
    "04.3": [STOPWATCH.head(3)],
    "04.4": [STOPWATCH.head(3)],
    "04.5": [throttled(0.8)],
    "04.6": [STOPWATCH.head(30)],
    "04.7": [slept(150)],
    "04.10": [NOTHING],
    "04.8": [[{"status": {}}]],
    "04.9": [leaked(9, grows_mib_per_s=3), 6],
}
