"""Notebook 04: a limit is a stopwatch, not a speed.

Pods of the overlay `limits`: primary 100m, half 50m, double 200m burn CPU; backup 100m sleeps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, equal, require
from lab_utils.runs import Run

_OFF = 0.3
_STOOD_STILL = 0.85
"""Of the time in which a limit makes a start stand still: less, and something else was slow."""
_BLAMED = 0.3
"""Share of periods in which a pod used up its quota, if its limit is what makes it slow."""
_FEWEST = 5
_BALLAST_OFF_MIB = 8
_MIB = 2**20


@claim("04.1", "a start takes its CPU time over the limit",
       ask="seconds until a worker listens at 50m", floor=0.2)  # fmt: skip
def start_follows_the_limit(starts: pd.DataFrame) -> Finding:
    """Decide on the pod whose start is furthest from CPU / limit."""
    require(len(starts) >= 2, f"{len(starts)} pods could tell what their start took")
    expected_s = [
        theory.startup_s(cpu_s, cores)
        for cpu_s, cores in zip(starts["cpu_s"], starts["limit_cores"], strict=True)
    ]
    off = starts["startup_s"] / expected_s
    worst = int((off - 1).abs().to_numpy().argmax())
    row, factor = starts.iloc[worst], float(off.iloc[worst])
    limited = factor < 1 + _OFF or row["stood_still"] > _STOOD_STILL * (1 - row["limit_cores"])
    require(limited, f"at {1e3 * row['limit_cores']:.0f}m disk or machine was slow, not the limit")
    slowest_s = float(starts.sort_values("limit_cores")["startup_s"].iloc[0])
    seen, wanted = f"{factor:.2f} x CPU / limit at worst", f"{1 - _OFF:.1f} to {1 + _OFF:.1f} x"
    return Finding(abs(factor - 1) <= _OFF, seen, wanted, slowest_s)


@claim("04.2", "work that fits into the quota runs at full speed")
def fitting_work_is_fast(run: Run) -> Finding:
    """Decide on the fastest quarter of work below the quota: a slower CPU would have none.

    The others may have met a period that a probe or the request before had used in part.
    """
    work_ms, limit_cores = float(run.settings["service_ms"]), _limit_cores(run, "primary")
    found = at_most(_answer_ms(run, 0.25), 0.5 * work_ms / limit_cores, "ms", digits=0)
    _require_blame(found, run, "primary")
    return found


@claim("04.3", "work that does not fit waits for the next period",
       ask="median latency of 15 ms of work at 100m, in ms", floor=10.0)  # fmt: skip
def long_work_waits(points: pd.DataFrame) -> Finding:
    """Decide on the median of 15 ms of work."""
    median_ms = _median_ms(points, 0.015, 0.1)
    return Finding(median_ms > 40, f"{median_ms:.0f} ms", "more than 40 ms", median_ms)


@claim("04.4", "the same work takes longer or shorter, as the stopwatch stands")
def same_work_differs(points: pd.DataFrame) -> Finding:
    """Decide on the range of 15 ms of work: a slower CPU would have none.

    Source:
        Ten starts anywhere in a period of 100 ms are all within 40 ms once in 600 runs, nine once
        in 250.
    """
    mine = _select(points, 0.015, 0.1)
    range_ms = 1e3 * float(mine["latency_s"].max() - mine["latency_s"].min())
    return Finding(range_ms > 40, f"a range of {range_ms:.0f} ms", "more than 40 ms")


@claim("04.5", "the counters of the kernel tell of it")
def counters_tell(run: Run) -> Finding:
    """Decide on the share of periods in which the primary used up its quota."""
    shares = run.usage.loc[run.usage["role"] == "primary", "throttled_share"].dropna()
    require(len(shares) >= 2, f"the primary was sampled {len(shares)} times")
    share = 100 * float(shares.mean())
    return Finding(share > 40, f"{share:.0f} % of its periods", "more than 40 %")


@claim("04.6", "the smaller the limit, the longer the same work takes",
       ask="median latency of 25 ms of work at 50m, in ms", floor=20.0)  # fmt: skip
def order_of_limits(points: pd.DataFrame) -> Finding:
    """Decide on the medians of 25 ms of work under three limits, whose ranges hardly meet.

    The Service chooses between two of the pods: of 16 requests one gets fewer than 3 once in 240.
    """
    medians_ms = [_median_ms(points, 0.025, cores, fewest=3) for cores in (0.05, 0.1, 0.2)]
    seen = " > ".join(f"{median:.0f}" for median in medians_ms) + " ms"
    falling = medians_ms == sorted(medians_ms, reverse=True)
    return Finding(falling, seen, "falling from 50m to 200m", medians_ms[0])


@claim("04.7", "who sleeps is never throttled")
def sleeping_is_free(run: Run) -> Finding:
    """Decide on the median of requests that wait for an accelerator, at 100m too."""
    found = at_most(_answer_ms(run, 0.5), 1.2 * float(run.settings["service_ms"]), "ms", digits=0)
    _require_blame(found, run, "backup")
    return found


@claim("04.8", "over its memory limit a container is killed at once")
def killed_for_memory(pods: Sequence[Mapping[str, Any]]) -> Finding:
    """Decide on how the last container of the pods before this one ended."""
    statuses = [s for pod in pods for s in pod["status"].get("containerStatuses") or ()]
    ends = [s["lastState"]["terminated"] for s in statuses if s.get("lastState")]
    ends += [s["state"]["terminated"] for s in statuses if "terminated" in s.get("state", {})]
    require(bool(ends), "no container has ended")
    return equal((ends[0]["reason"], ends[0]["exitCode"]), ("OOMKilled", 137))


@claim("04.9", "it dies when base and ballast are more than the limit",
       ask="MiB of ballast that kill a worker of 64 MiB", floor=1.0)  # fmt: skip
def ballast_kills(run: Run, mib_per_s: float) -> Finding:
    """Decide on the ballast taken on until the first request failed."""
    require("leak" in set(run.faults["name"]), "nothing leaked in this run")
    leak = run.faults[run.faults["name"] == "leak"].iloc[0]
    failed = run.requests[~run.requests["ok"] & (run.requests["sent_s"] > leak["start_s"])]
    require(len(failed) > 0, "every request was answered: the run was too short")
    ballast_mib = mib_per_s * float(failed["sent_s"].min() - leak["start_s"])
    usage = run.usage[run.usage["role"] == leak["target"]].dropna(subset="memory_bytes")
    before = usage[usage["t_s"] < leak["start_s"]]
    require(len(before) > 0, "the pod's memory was not seen before the leak")
    base_bytes = float(before["memory_bytes"].iloc[-1])
    limit_bytes = run.settings["limits"][leak["target"]]["memory_bytes"]
    fatal_mib = theory.fatal_ballast_bytes(base_bytes, limit_bytes) / _MIB
    holds = abs(ballast_mib - fatal_mib) <= _BALLAST_OFF_MIB
    if not holds:
        during = usage["t_s"].between(leak["start_s"], failed["sent_s"].min())
        _require_pace(usage[during], mib_per_s)
    seen, wanted = f"{ballast_mib:.0f} MiB", f"{fatal_mib:.0f} MiB, give or take {_BALLAST_OFF_MIB}"
    return Finding(holds, seen, wanted, ballast_mib)


@claim("04.10", "a pod that books more than there is waits, and nobody else does")
def booking_is_not_use(run: Run) -> Finding:
    """Decide on a pod without a node for the whole run, and on the requests meanwhile."""
    pods = run.states[run.states["kind"] == "pod"].groupby("name").last()
    waiting = pods[(pods["reason"] == "Pending") & (pods["node"] == "")]
    lost = int((~analysis.select_judged(run.requests)["ok"]).sum())
    require(len(run.requests) > 0, "no request was sent")
    seen = f"{len(waiting)} pods without a node, {lost} requests lost"
    return Finding(len(waiting) == 1 and lost == 0, seen, "1 pod, 0 requests")


def _require_blame(found: Finding, run: Run, role: str) -> None:
    """Leave open a latency that the counters of the limit know nothing of."""
    shares = run.usage.loc[run.usage["role"] == role, "throttled_share"].dropna()
    limited = len(shares) > 0 and float(shares.mean()) > _BLAMED
    require(found.holds or limited, f"{found.seen}, but it was the machine that was busy")


def _require_pace(usage: pd.DataFrame, mib_per_s: float) -> None:
    """Leave open what a worker too busy to leak on time says."""
    grown_mib = (usage["memory_bytes"].max() - usage["memory_bytes"].min()) / _MIB
    span_s = float(usage["t_s"].max() - usage["t_s"].min())
    slow = len(usage) >= 2 and grown_mib < 0.7 * mib_per_s * span_s
    require(not slow, f"the worker leaked {grown_mib:.0f} MiB in {span_s:.0f} s only")


def _limit_cores(run: Run, role: str) -> float:
    limits: Mapping[str, Mapping[str, float]] = run.settings.get("limits", {})
    require(role in limits, f"the {role} was not seen in this run")
    return limits[role]["cpu_cores"]


def _answer_ms(run: Run, quantile: float) -> float:
    answered_s = run.requests.loc[run.requests["ok"], "latency_s"]
    require(len(answered_s) >= _FEWEST, f"only {len(answered_s)} requests were answered")
    return 1e3 * float(answered_s.quantile(quantile))


def _select(
    points: pd.DataFrame, work_s: float, cores: float, fewest: int = _FEWEST
) -> pd.DataFrame:
    mine = points[(points["work_s"] == work_s) & (points["limit_cores"] == cores)]
    what = f"requests of {1e3 * work_s:.0f} ms at {1e3 * cores:.0f}m"
    require(len(mine) >= fewest, f"only {len(mine)} {what}")
    return mine


def _median_ms(points: pd.DataFrame, work_s: float, cores: float, fewest: int = _FEWEST) -> float:
    return 1e3 * float(_select(points, work_s, cores, fewest)["latency_s"].median())
