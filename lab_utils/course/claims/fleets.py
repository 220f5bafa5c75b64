"""Notebook 12: from two workers to a fleet.

One slot each, exponential service times of SERVICE_S on average, a utilisation of 0.8.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, require
from lab_utils.runs import Run

SERVICE_S = 0.1
_FEWEST = 60
_LARGE = 10
"""Workers from which on the policies are surely apart; with two, the best two are the same."""
_PARTS, _STUDENT = 5, 8.61
"""A busy fleet forgets slowly, so its parts must be long; Student's t for five means, 99.9 %."""
_SAMPLE = 0.01
"""How far a sample of service times may be from the exponential that the formula is for."""
_POLICIES = ("least_outstanding", "power_of_two", "round_robin", "random")


@claim("12.1", "every worker is the queue that the simulation is made of")
def workers_are_queues(runs: Sequence[Run]) -> Finding:
    """Decide on the pod whose mean is farthest from that of its twin: 20 % or 30 ms."""
    pods = pd.concat([analysis.twin(run.requests) for run in runs], ignore_index=True)
    require(len(pods) > 0, "nobody answered")
    twin_s = pods["twin_mean_s"].to_numpy()
    off_s, allowed_s = np.abs(pods["mean_s"].to_numpy() - twin_s), np.maximum(0.2 * twin_s, 0.03)
    worst = int((off_s / allowed_s).argmax())
    return at_most(1e3 * float(off_s[worst]), 1e3 * float(allowed_s[worst]), "ms off", digits=0)


@claim("12.2", "the simulated fleet agrees with the real workers")
def simulation_agrees(measured: pd.DataFrame) -> Finding:
    """Decide on whether the mean of every run is one that the simulation's runs have, too."""
    require(len(measured) > 0, "there is no run")
    fewest = int(measured["requests"].min())
    require(fewest >= _FEWEST, f"a run has {fewest} answered requests only")
    inside = measured["mean_s"].between(measured["low_s"], measured["high_s"])
    rows = measured.assign(inside=inside).to_dict("records")
    seen = "; ".join(_say_fleet(row, f"{1e3 * row['mean_s']:.0f}") for row in rows)
    spans = [f"{1e3 * row['low_s']:.0f} to {1e3 * row['high_s']:.0f}" for row in rows]
    return Finding(bool(inside.all()), seen, "; ".join(spans) + " ms")


def _say_fleet(row: dict[Any, Any], times: str) -> str:
    return f"{row['workers']:.0f} workers, {row['policy'].replace('_', ' ')}: {times} ms"


@claim("12.3", "the more workers a policy looks at, the less its requests wait",
       ask="how many times longer a request takes under random than under the power of two, "
           "with 10 000 workers", floor=0.2)  # fmt: skip
def looking_helps(points: pd.DataFrame) -> Finding:
    """Decide on the order of the policies' means in every large fleet."""
    means_s = points[points["workers"] >= _LARGE].pivot_table("mean_s", "workers", "policy")
    missing = [name for name in _POLICIES if name not in means_s]
    require(not missing, f"no fleet of {_LARGE} workers or more with {', '.join(missing)}")
    ordered = (np.diff(means_s[list(_POLICIES)].to_numpy(), axis=1) >= 0).all(axis=1)
    largest = means_s.loc[means_s.index.max()]
    seen = ", ".join(f"{1e3 * largest[name]:.0f}" for name in _POLICIES)
    wanted = f"{' <= '.join(_POLICIES)} in every fleet".replace("_", " ")
    factor = float(largest["random"] / largest["power_of_two"])
    return Finding(bool(ordered.all()), f"{seen} ms in the largest", wanted, factor)


@claim("12.4", "ten thousand workers are as good as no end of them",
       ask="mean response of 10 000 workers under the power of two, in ms", floor=10.0)  # fmt: skip
def limit_is_reached(response_s: ArrayLike, rho: float = 0.8) -> Finding:
    """Decide on the mean of the later half against the limit, by the means of a few long parts."""
    known_s = np.asarray(response_s, dtype=float)
    require(known_s.size >= 100_000, f"{known_s.size:,} requests leave too much to chance")
    later_s = known_s[known_s.size // 2 :]
    parts_s = np.array([part.mean() for part in np.array_split(later_s, _PARTS)])
    limit_s = theory.two_choices_response_s(rho, SERVICE_S)
    error_s = float(parts_s.std(ddof=1)) / len(parts_s) ** 0.5
    allowed_s = _STUDENT * error_s + _SAMPLE * limit_s
    seen, off_s = float(later_s.mean()), abs(float(later_s.mean()) - limit_s)
    wanted = f"{1e3 * limit_s:.1f} ms, give or take {1e3 * allowed_s:.1f}"
    return Finding(off_s <= allowed_s, f"{1e3 * seen:.1f} ms", wanted, 1e3 * seen)


@claim("12.5", "the pods of the Job sent one schedule: all of it, nothing twice")
def one_schedule(run: Run) -> Finding:
    """Decide on the numbers of the requests that left, and on how many generators sent them."""
    client = run.settings.get("client") or {}
    require(not run.interrupted, "the run was interrupted")
    require("wall_s" in client, "the generators have not said how they ended")
    sent, due = run.requests["request_id"], run.schedule["request_id"]
    once = sent.is_unique and set(sent) == set(due)
    pods = int(client.get("generators", 1))
    seen = f"{len(sent):,} of {len(due):,} requests from {pods} pods"
    return Finding(once and pods > 1, seen, "each once, from more than one")
