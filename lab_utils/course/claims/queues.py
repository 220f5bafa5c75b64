"""Notebook 02: utilisation, not speed, makes latency.

Service times of SERVICE_S on average; the runs for 02.4 and 02.5 are at a utilisation of 0.8.
"""

import numpy as np
import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, require
from lab_utils.runs import Run
from lab_utils.simulation import Server, serve

SERVICE_S = 0.025
_FEWEST = 60
"""Requests of a run below which its mean says nothing."""


def _require_points(points: pd.DataFrame) -> None:
    require(len(points) > 0, "there is no run")
    fewest = int(points["requests"].min())
    require(fewest >= 20, f"a run has {fewest} requests only")


def _off_the_twin(points: pd.DataFrame) -> tuple[float, float]:
    """Give the largest deviation of a mean from its twin's, and what is allowed: 20 % or 15 ms."""
    twin_s = points["twin_s"].to_numpy()
    off_s = np.abs(points["mean_s"].to_numpy() - twin_s)
    allowed_s = np.maximum(0.2 * twin_s, 0.015)
    worst = int((off_s - allowed_s).argmax())
    return float(off_s[worst]), float(allowed_s[worst])


def _require_no_mere_chance(points: pd.DataFrame, outside: int) -> None:
    """Leave open what luck alone explains: means outside, of servers that did as their twins."""
    off_s, allowed_s = _off_the_twin(points)
    why = f"{outside} of {len(points)} means outside, as with the twins: it was chance, run again"
    require(off_s > allowed_s, why)


@claim("02.1", "requests in the system are arrivals a second times their time in it")
def littles_law(points: pd.DataFrame) -> Finding:
    """Decide on the largest deviation from L = lambda W over the runs."""
    _require_points(points)
    away = (points["in_system"] / points["flow"] - 1).abs().max()
    return at_most(float(away) * 100, 3, "%")


@claim("02.2", "the server does what its twin does")
def twin_agrees(points: pd.DataFrame) -> Finding:
    """Decide on the largest deviation of a mean from that of the ideal server: 20 % or 15 ms."""
    _require_points(points)
    off_s, allowed_s = _off_the_twin(points)
    return at_most(off_s * 1e3, allowed_s * 1e3, "ms", digits=0)


@claim("02.3", "the means lie where chance allows",
       ask="mean response at a utilisation of 0.8, in ms", floor=5.0)  # fmt: skip
def means_in_their_bands(points: pd.DataFrame) -> Finding:
    """Decide on how many of the 95 % bands hold their mean: one may miss by chance."""
    _require_points(points)
    inside = int(points["mean_s"].between(points["low_s"], points["high_s"]).sum())
    if inside < len(points) - 1:
        _require_no_mere_chance(points, len(points) - inside)
    nearest = int((points["rho"] - 0.8).abs().to_numpy().argmin())
    at_08_ms = 1e3 * float(points["mean_s"].to_numpy()[nearest])
    seen, wanted = f"{inside} of {len(points)} inside", f"at least {len(points) - 1}"
    return Finding(inside >= len(points) - 1, seen, wanted, at_08_ms)


@claim("02.4", "one queue for two slots saves more than a quarter",
       ask="percent of the mean response that pooling saves", floor=5.0)  # fmt: skip
def pooling_saves(split: Run) -> Finding:
    """Decide on what one queue would have made of the very requests that two have served.

    Two runs have each their own luck, which at a utilisation of 0.8 hides a quarter for minutes.
    """
    sent = analysis.select_judged(split.requests)
    sent = sent[sent["ok"]].sort_values("sent_s")
    require(len(sent) >= _FEWEST, f"only {len(sent)} requests were answered")
    sent_s = sent["sent_s"].to_numpy()
    pooled_s = serve(sent_s, sent["service_s"].to_numpy(), Server(slots=2)).end_s - sent_s
    saved = 100 * (1 - float(pooled_s.mean()) / float((sent["done_s"] - sent["sent_s"]).mean()))
    require(
        saved > 25 or len(sent) >= 1_000,
        f"{saved:.0f} % saved, but chance moves {len(sent)} requests a lot",
    )
    return Finding(saved > 25, f"{saved:.0f} %", "more than 25 %", max(saved, 0.0))


@claim("02.5", "two slots and four behind one queue do what Erlang's formula allows")
def erlang_holds(points: pd.DataFrame) -> Finding:
    """Decide on the twin, and on the 95 % band of each run's length."""
    _require_points(points)
    inside = int(points["mean_s"].between(points["low_s"], points["high_s"]).sum())
    if inside < len(points):
        _require_no_mere_chance(points, len(points) - inside)
    seen_ms = ", ".join(f"{1e3 * mean_s:.0f} ms" for mean_s in points["mean_s"])
    bands = zip(points["low_s"], points["high_s"], strict=True)
    wanted = ", ".join(f"{1e3 * low_s:.0f} to {1e3 * high_s:.0f} ms" for low_s, high_s in bands)
    return Finding(inside == len(points), seen_ms, wanted)


@claim("02.6", "no number of users gets more out of it than its bounds allow")
def users_stay_below(points: pd.DataFrame, think_s: float) -> Finding:
    """Decide on min(N / (S + Z), c / S), and three standard errors of a run's length."""
    require(len(points) > 0, "there is no run")
    bounds_rps = [theory.closed_loop_rps(int(n), SERVICE_S, think_s) for n in points["users"]]
    reached = (points["rps"] / bounds_rps).to_numpy()
    allowed = 1 + 3 / np.sqrt(points["requests"].to_numpy())
    worst = int((reached / allowed).argmax())
    return at_most(100 * reached[worst], 100 * allowed[worst], "% of the bound", digits=0)


@claim("02.7", "who waits for answers does not see the stall",
       ask="p99 of an open loop while the server stands still, in ms", floor=20.0)  # fmt: skip
def closed_loop_omits(open_loop: Run, closed_loop: Run) -> Finding:
    """Decide on the p99 of users who do not wait against that of one who does."""
    p99_s = [_p99_s(run) for run in (open_loop, closed_loop)]
    ratio = p99_s[0] / p99_s[1]
    seen = f"p99 {p99_s[0] * 1e3:.0f} ms against {p99_s[1] * 1e3:.0f} ms"
    return Finding(ratio > 5, seen, "more than 5 times as much", p99_s[0] * 1e3)


def _p99_s(run: Run) -> float:
    judged = analysis.select_judged(run.requests)
    answered = judged.loc[judged["ok"], "latency_s"]
    require(len(answered) >= 300, f"a p99 of {len(answered)} answers says nothing")
    return float(answered.quantile(0.99))
