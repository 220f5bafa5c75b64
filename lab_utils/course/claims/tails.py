"""Notebook 03: averages hide, tails multiply.

Service times of SERVICE_S on average in the first experiment. In the others one answer in twenty
is a straggler: SLOW_S instead of FAST_S.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lab_utils import analysis, theory
from lab_utils.course.claims import Finding, at_most, claim, require, within
from lab_utils.runs import Run
from lab_utils.theory.bands import cumulate_binomial

SERVICE_S = 0.1
SPREADS = {"const": 0.0, "exponential": 1.0, "lognormal": 2.0}
"""Standard deviation over mean of the servers that 03.1 and 03.2 compare."""
FAST_S, SLOW_S, STRAGGLERS = 0.05, 1.0, 0.05
HEDGE_AFTER_S = 0.1
_BUSY_S = 0.02
_LEVEL = 0.99
"""Of an interval of a p99; more would need a thousand answers."""
_COUNT_LEVEL = 0.999
"""Of a band of counts: four sizes of pages, and chance breaks one run in 250."""


@claim("03.1", "three servers have the same mean")
def means_agree(runs: Mapping[str, Run]) -> Finding:
    """Decide on the mean that is farthest off: three standard errors and 10 ms are chance."""
    pairs_s = [(_mean_off_s(run), 0.01 + 3 * _error_s(name, run)) for name, run in runs.items()]
    off_s, allowed_s = max(pairs_s, key=lambda pair: pair[0] / pair[1])
    return at_most(1e3 * off_s, 1e3 * allowed_s, "ms off", digits=0)


def _mean_off_s(run: Run) -> float:
    added_s = _require_idle(run)
    return abs(float(_answered_s(run).mean()) - SERVICE_S - added_s)


def _error_s(name: str, run: Run) -> float:
    return SPREADS[name] * SERVICE_S / float(len(_answered_s(run)) ** 0.5)


@claim("03.2", "their tails are as far apart as chance and formula allow",
       ask="p99 of the lognormal server, in ms", floor=20.0)  # fmt: skip
def tails_differ(runs: Mapping[str, Run]) -> Finding:
    """Decide on whether each measured p99's interval, less what the machine adds, holds theory."""
    wanted_s = {
        "const": SERVICE_S,
        "exponential": theory.quantile_s(0.99, theory.exceeds_exponential(SERVICE_S)),
        "lognormal": theory.quantile_s(0.99, theory.exceeds_lognormal(SERVICE_S, 2)),
    }
    p99_s, inside = {}, []
    for name, run in runs.items():
        _require_idle(run)
        p99_s[name], low_s, high_s = _p99_s(run)
        inside.append(low_s - _late_s(run) <= wanted_s[name] <= high_s)
    seen = ", ".join(f"{name} {1e3 * known:.0f}" for name, known in p99_s.items())
    wanted = ", ".join(f"{1e3 * wanted_s[name]:.0f}" for name in p99_s)
    return Finding(all(inside), f"p99 {seen} ms", f"{wanted} ms", 1e3 * p99_s["lognormal"])


@claim("03.3", "the p99 of both servers is above the mean of their p99s",
       ask="p99 of all answers together, in ms", floor=20.0)  # fmt: skip
def percentiles_do_not_average(run: Run) -> Finding:
    """Decide on the p99 of all answers against the mean of the p99s of the roles."""
    together_s, _, most_s = _p99_s(run)
    each_s = [_p99_s(run.of(role))[0] for role in sorted(run.requests["role"].unique()) if role]
    require(len(each_s) == 2, f"{len(each_s)} servers answered: want 2")
    mean_s = float(np.mean(each_s))
    require(together_s > mean_s or most_s < mean_s, "chance moves a p99 of so few that far")
    seen = f"{1e3 * together_s:.0f} ms"
    return Finding(together_s > mean_s, seen, f"above {1e3 * mean_s:.0f} ms", 1e3 * together_s)


@claim("03.4", "whoever waits for n answers meets a straggler as often as the formula says",
       ask="percent of the pages of 20 parts that are slow", floor=2.0)  # fmt: skip
def slow_pages(points: pd.DataFrame) -> Finding:
    """Decide on the slow pages of each size: inside the binomial band of 1 - (1 - p)^n."""
    return _in_bands(points, STRAGGLERS)


@claim("03.5", "a second request cuts the p99 to less than a fifth",
       ask="p99 of the parts with hedging, in ms", floor=10.0)  # fmt: skip
def hedging_cuts(plain: Run, hedged: Run) -> Finding:
    """Decide on the p99 of parts that were hedged against that of the same parts that were not."""
    before_s, after_s = (_p99_s(run)[0] for run in (plain, hedged))
    _require_prompt(hedged)
    return at_most(1e3 * after_s, 200 * before_s, "ms", digits=0)


@claim("03.6", "hedging costs five percent more requests",
       ask="percent more requests because of hedging", floor=0.5)  # fmt: skip
def hedging_costs(hedged: Run) -> Finding:
    """Decide on the second requests as a share of the first, within two points."""
    requests = analysis.select_judged(hedged.requests)
    require(len(requests) >= 300, f"{len(requests)} requests say little about 5 %")
    _require_prompt(hedged)
    return within(100 * float(requests["hedged"].mean()), 3, 7, "%", digits=1)


@claim("03.7", "of the hedged pages only those are slow that met two stragglers at once")
def slow_hedged_pages(points: pd.DataFrame) -> Finding:
    """Decide on the slow pages of each size: inside the band of 1 - (1 - p^2)^n."""
    return _in_bands(points, STRAGGLERS**2)


@claim("03.8", "hedging saves nothing where the request itself is slow")
def slow_requests_stay(plain: Run, hedged: Run) -> Finding:
    """Decide on the p99 of parts that take as long on every server."""
    before_s, after_s = (_p99_s(run)[0] for run in (plain, hedged))
    seen = f"p99 {1e3 * after_s:.0f} ms"
    return Finding(after_s > 0.9 * before_s, seen, f"about {1e3 * before_s:.0f} ms")


def _in_bands(points: pd.DataFrame, one_slow: float) -> Finding:
    """Decide on whether the number of slow pages of every size is one that chance allows."""
    require(len(points) > 0, "there are no pages")
    fewest = int(points["requests"].min())
    require(fewest >= 20, f"{fewest} pages of a size only")
    outside, share = [], 0.0
    for row in points.to_dict("records"):
        expected = theory.slow_share(one_slow, int(row["fan_out"]))
        low, high = _binomial_range(int(row["requests"]), expected)
        share = row["slow"] / row["requests"]
        if not low <= row["slow"] <= high:
            outside.append(f"{row['slow']} of {row['requests']} with {row['fan_out']} parts")
    seen = "; ".join(outside) or f"{100 * share:.0f} % of the largest"
    return Finding(not outside, seen, f"{100 * expected:.0f} % give or take chance", 100 * share)


def _binomial_range(n: int, p: float) -> tuple[int, int]:
    """Give the fewest and the most of n that chance allows."""
    below = cumulate_binomial(n, p)
    low, high = np.searchsorted(below, [(1 - _COUNT_LEVEL) / 2, (1 + _COUNT_LEVEL) / 2])
    return int(low), int(high)


def _answered_s(run: Run) -> "pd.Series[float]":
    answered: pd.Series[float] = run.requests.loc[run.requests["ok"], "latency_s"]
    require(len(answered) >= 300, f"a p99 of {len(answered)} answers says nothing")
    return answered


def _p99_s(run: Run) -> tuple[float, float, float]:
    """Give the p99 and the ends of its interval; what no sample can bound has no end."""
    found = analysis.percentiles(_answered_s(run), (0.99,), level=_LEVEL).iloc[0]
    low_s, high_s = (float(found[name]) for name in ("low_s", "high_s"))
    return float(found["latency_s"]), low_s, high_s if np.isfinite(high_s) else np.inf


def _require_idle(run: Run) -> float:
    """Give what network and machine add to a service time, unless it spoils the comparison."""
    done = run.requests[run.requests["ok"]]
    waited_s = float(done["queue_s"].quantile(0.99))
    require(waited_s < _BUSY_S, f"requests waited for a slot, {1e3 * waited_s:.0f} ms at the p99")
    added_s = float(_added_s(run).median())
    require(added_s < _BUSY_S, f"the machine adds {1e3 * added_s:.0f} ms to every answer")
    return added_s


def _late_s(run: Run) -> float:
    """Give by how much the machine may have moved a p99."""
    late_s = float(_added_s(run).quantile(0.99))
    require(late_s < SERVICE_S, f"the machine adds {1e3 * late_s:.0f} ms to one answer in 100")
    return late_s


def _added_s(run: Run) -> "pd.Series[float]":
    """Give what network and machine have added to the service of each answer."""
    done = run.requests[run.requests["ok"]]
    added_s: pd.Series[float] = done["latency_s"] - done["queue_s"] - done["service_s"]
    return added_s


def _require_prompt(hedged: Run) -> None:
    """Leave it open if many second requests were sent because the machine was late."""
    tried = hedged.attempts
    took_s = tried["done_s"] - tried["sent_s"]
    needless = tried["ok"] & ~tried["hedge"] & took_s.between(HEDGE_AFTER_S, SLOW_S / 2)
    share = float(needless.sum()) / max(1, len(hedged.requests))
    require(share < 0.01, f"{100 * share:.0f} % were sent twice because this machine was late")
