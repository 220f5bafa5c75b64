"""Notebook 10: latency for throughput, and an autoscaler that sees the CPU only.

Pods of the overlay `scaling`: the primary batches, the backup burns, the sleeper sleeps.
"""

import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, claim, require, within
from lab_utils.runs import Run

FIXED_S, PER_ITEM_S = 0.05, 0.005
REQUEST_CORES, LIMIT_CORES, TARGET, MOST = 0.05, 0.1, 0.5, 4
_LOOK_S = 15.0
"""How often an autoscaler looks, and how long after its creation for the first time."""
_FIGURES_S = 30.0
"""Age that the figures it sees may have: two readings of the kubelet, fetched every 15 s."""
_BUSY_CORES = 0.08
_FEWEST = 6


@claim("10.1", "full batches give as many requests a second as their formula says",
       ask="requests a second in batches of 16", floor=5.0)  # fmt: skip
def batches_give(points: pd.DataFrame) -> Finding:
    """Decide on the throughput that is furthest from the formula."""
    _require_full(points)
    shares = points["rps"] / [
        theory.batch_rps(size, FIXED_S, PER_ITEM_S) for size in points["size"]
    ]
    worst = float(shares.iloc[int((shares - 1).abs().to_numpy().argmax())])
    at_16_rps = float(points.iloc[int((points["size"] - 16).abs().to_numpy().argmin())]["rps"])
    seen = f"{100 * worst:.0f} % of it at worst"
    return Finding(0.9 <= worst <= 1.05, seen, "90 to 105 %", at_16_rps)


@claim("10.2", "the line through the times of the batches finds a and m")
def line_finds(points: pd.DataFrame) -> Finding:
    """Decide on the worse of the two, fitted to size over throughput."""
    _require_full(points)
    fitted = analysis.fit_batch_time(points["size"], points["size"] / points["rps"])
    off = max(
        abs(fitted.fixed_s.value / FIXED_S - 1), abs(fitted.per_item_s.value / PER_ITEM_S - 1)
    )
    fixed_ms, per_item_ms = 1e3 * fitted.fixed_s.value, 1e3 * fitted.per_item_s.value
    return Finding(
        off <= 0.1, f"{fixed_ms:.1f} and {per_item_ms:.2f} ms", "50 and 5 ms, within 10 %"
    )


@claim("10.3", "who waits for company pays for it when there is none",
       ask="median latency with a wait of up to 100 ms, in ms", floor=10.0)  # fmt: skip
def waiting_costs(at_once: Run, waiting: Run) -> Finding:
    """Decide on the difference of the medians, against half of the longest wait."""
    medians_ms = [1e3 * _median_s(run) for run in (at_once, waiting)]
    cost_ms = medians_ms[1] - medians_ms[0]
    return Finding(cost_ms > 50, f"{cost_ms:.0f} ms more", "more than 50 ms", medians_ms[1])


@claim("10.4", "the chosen number of slots meets the objective",
       ask="slots for a p95 of half a second at 18 requests a second", floor=0.5)  # fmt: skip
def slots_meet_the_objective(run: Run, slots: int, slo_s: float) -> Finding:
    """Decide on the p95 and its interval: one that spans the objective decides nothing."""
    answered_s = run.requests.loc[run.requests["ok"], "latency_s"]
    require(len(answered_s) >= 100, f"a p95 of {len(answered_s)} answers says little")
    found = analysis.percentiles(answered_s, (0.95,)).iloc[0]
    holds = bool(found["latency_s"] <= slo_s)
    seen = f"a p95 of {1e3 * found['latency_s']:.0f} ms"
    require(holds or found["low_s"] > slo_s, f"{seen}, but chance moves {len(answered_s)} a lot")
    return Finding(holds, seen, f"at most {1e3 * slo_s:.0f} ms", slots)


@claim("10.5", "a pod that burns gives limit over work, and no more")
def limit_over_work(run: Run, work_s: float) -> Finding:
    """Decide on the answers a second until there is an autoscaler; HTTP and probes cost CPU too."""
    start_s, end_s = 5.0, _autoscaled_s(run)
    done = run.requests[run.requests["ok"] & run.requests["done_s"].between(start_s, end_s)]
    most_rps = theory.throttled_rps(work_s, LIMIT_CORES)
    rate_rps = len(done) / (end_s - start_s)
    limited = _throttled_share(run, "backup") > 0.5
    require(limited, "the pod did not use up its limit: too little load, or a busy machine")
    return within(rate_rps, 0.6 * most_rps, 1.1 * most_rps, "requests/s")


@claim("10.6", "pods that burn become four in one step",
       ask="pods after the autoscaler's first step", floor=0.5)  # fmt: skip
def burning_scales(run: Run, demand_cores: float) -> Finding:
    """Decide on how many pods the first step makes of one."""
    steps = theory.hpa_steps(
        demand_cores, request_cores=REQUEST_CORES, limit_cores=LIMIT_CORES, target=TARGET,
        most=MOST,
    )  # fmt: skip
    scaled_s, pods = _first_step(run, "backup")
    earlier = run.kubelet[
        (run.kubelet["role"] == "backup")
        & run.kubelet["t_s"].between(scaled_s - _FIGURES_S, scaled_s - 0.5)
    ]
    settled = len(earlier) > 0 and bool((earlier["cpu_cores"] > _BUSY_CORES).all())
    require(pods == steps[1] or settled, "the autoscaler's figures were from before the load")
    return Finding(pods == steps[1], f"1 to {pods}", f"1 to {steps[1]}", pods)


@claim("10.7", "pods that sleep stay one, however long the queue")
def sleeping_never_scales(run: Run) -> Finding:
    """Decide on the pods there were, of a server with more requests than it can answer."""
    seen_s = float(run.requests["scheduled_s"].max()) - _autoscaled_s(run)
    require(seen_s > _LOOK_S, f"the autoscaler was watched for {seen_s:.0f} s only")
    slow_s = 2 * float(run.requests.loc[run.requests["ok"], "service_s"].median())
    lost = int((~run.requests["ok"]).sum())
    late = bool(_median_s(run) > slow_s)
    require(late or lost > 0, "the server had no queue")
    pods = len(_appearances(run, "sleeper"))
    return Finding(pods == 1, f"{pods} pods, {lost} requests lost", "1 pod")


@claim("10.8", "capacity comes after the fact, and then latency falls",
       ask="seconds from the autoscaler's start to four ready pods", floor=1.0)  # fmt: skip
def latency_falls(run: Run) -> Finding:
    """Decide on the medians of the 10 s before the step, and from when all pods are ready."""
    scaled_s, pods = _first_step(run, "backup")
    found = analysis.replicas(run.states[run.states["role"] == "backup"])
    full = found[found["ready"] >= pods]
    require(len(full) > 0, "the new pods did not become ready within the run")
    ready_s = float(full["t_s"].iloc[0])
    requests = run.requests[run.requests["ok"]]
    before = requests[requests["scheduled_s"].between(scaled_s - 10, scaled_s)]["latency_s"]
    after = requests[requests["scheduled_s"] > ready_s + 1]["latency_s"]  # endpoints follow
    require(min(len(before), len(after)) >= _FEWEST, f"only {len(after)} came after it")
    medians_s = float(before.median()), float(after.median())
    seen = f"from {medians_s[0]:.2f} to {medians_s[1]:.2f} s"
    waited_s = ready_s - _autoscaled_s(run)
    return Finding(medians_s[1] < medians_s[0] / 2, seen, "less than half", waited_s)


def _require_full(points: pd.DataFrame) -> None:
    """Leave open what users who came back too late made of the batches."""
    require(len(points) >= 3, f"there are {len(points)} sizes only")
    require(bool(points["rps"].notna().all()), "there were too few full batches")
    kept_busy = points["rps"] * points["batch_s"] / points["size"]
    require(bool((kept_busy > 0.9).all()), "the server had to wait for its users")


def _median_s(run: Run) -> float:
    answered_s = run.requests.loc[run.requests["ok"], "latency_s"]
    require(len(answered_s) >= _FEWEST, f"only {len(answered_s)} requests were answered")
    return float(answered_s.median())


def _autoscaled_s(run: Run) -> float:
    found = run.faults[run.faults["name"] == "autoscale"]
    require(len(found) > 0, "no autoscaler was there in this run")
    return float(found["start_s"].iloc[0])


def _throttled_share(run: Run, role: str) -> float:
    shares = run.usage.loc[run.usage["role"] == role, "throttled_share"].dropna()
    require(len(shares) > 0, f"the {role} was not sampled")
    return float(shares.mean())


def _appearances(run: Run, role: str) -> "pd.Series[float]":
    """Give when each pod of a role was seen first."""
    pods = run.states[(run.states["kind"] == "pod") & (run.states["role"] == role)]
    require(len(pods) > 0, "the pods were not watched")
    return pods.groupby("name")["t_s"].min().sort_values()


def _first_step(run: Run, role: str) -> tuple[float, int]:
    """Give when the first new pods came, and how many there were then; they come within 2 s."""
    started_s, seen_s = _autoscaled_s(run), _appearances(run, role)
    new_s = seen_s[seen_s > started_s]
    require(len(new_s) > 0, "the autoscaler did nothing within the run")
    first_s = float(new_s.iloc[0])
    return first_s, int((seen_s <= first_s + 2).sum())
