"""What became of a way to choose among pods: who is new, and how long each policy lets wait."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lab_utils.analysis.outages import select_judged
from lab_utils.analysis.twin import twin
from lab_utils.simulation import simulate_fleet

if TYPE_CHECKING:
    from lab_utils.runs import Run

_REPETITIONS = 300
_COLUMNS = [
    "policy", "requests", "mean_s", "p99_s", "twin_s", "mean_low_s", "mean_high_s", "p99_low_s",
    "p99_high_s", "invalid",
]  # fmt: skip


def newcomers(states: pd.DataFrame) -> pd.DataFrame:
    """Find the pods that became Ready within a run and were not before.

    Args:
        states: The states table.

    Returns:
        One row per pod, by ready_s: name, role, ready_s.
    """
    pods = states[states["kind"] == "pod"]
    first = pods[pods["ready"]].sort_values("t_s").drop_duplicates("name")
    found = first.loc[first["t_s"] > 0, ["name", "role", "t_s"]]
    return found.rename(columns={"t_s": "ready_s"}).reset_index(drop=True)


def policy_points(runs: "Iterable[Run]", *, pods: int, level: float = 0.99) -> pd.DataFrame:
    """Give mean and p99 of runs with different policies, with their twins and chance.

    Args:
        runs: Open loops at the same rate over pods with one slot each, each run with its own
            `balance`.
        pods: How many there are to choose from.
        level: Of the bands.

    Returns:
        One row per run: policy, requests, mean_s and p99_s (from sending to answer), twin_s (mean
        of the same requests on ideal pods that the same choices were made for), mean_low_s to
        p99_high_s (where chance puts runs of this length that begin with empty queues), invalid
        (why the load was not what was asked for; "" if it was).

    Source:
        Bands: Monte Carlo over simulation.simulate_fleet() with the service times of the run.
    """
    rows = [_policy_point(run, pods, level) for run in runs]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _policy_point(run: "Run", pods: int, level: float) -> dict[str, Any]:
    policy = str(run.settings["balance"])
    sent = select_judged(run.requests)
    sent = sent[sent["ok"]]
    point = {"policy": policy, "requests": len(sent), "invalid": "; ".join(run.validity.reasons)}
    services_s = sent["service_s"].dropna().to_numpy()
    if not len(services_s):
        return point
    rho = float(run.settings["rate_rps"]) * float(services_s.mean()) / pods
    play = partial(simulate_fleet, pods, rho, services_s, policy=policy, requests=len(sent))
    played = np.array([_figures(play(seed=seed)) for seed in range(_REPETITIONS)])
    tail = (1 - level) / 2
    (mean_low_s, p99_low_s), (mean_high_s, p99_high_s) = np.quantile(played, [tail, 1 - tail], 0)
    mean_s, p99_s = _figures((sent["done_s"] - sent["sent_s"]).to_numpy())
    ideal = twin(run.requests)
    return point | {
        "mean_s": mean_s,
        "p99_s": p99_s,
        "twin_s": float(np.average(ideal["twin_mean_s"], weights=ideal["requests"])),
        "mean_low_s": mean_low_s,
        "mean_high_s": mean_high_s,
        "p99_low_s": p99_low_s,
        "p99_high_s": p99_high_s,
    }


def _figures(times_s: "np.ndarray[Any, np.dtype[np.float64]]") -> tuple[float, float]:
    return float(times_s.mean()), float(np.quantile(times_s, 0.99))
