"""Fleets of workers: the few that are real, and the many that are played through."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from lab_utils.analysis.outages import select_judged
from lab_utils.simulation import POLICIES, simulate_fleet

if TYPE_CHECKING:
    from lab_utils.runs import Run

_REPETITIONS = 1000
_FULLEST = 0.99  # a pool of few service times may have a mean that is too much for the workers
_FEWEST = 100_000
"""Requests of a simulated fleet: with fewer, a small fleet shows its chance."""


def simulated_fleets(
    sizes: Iterable[int],
    rho: float,
    services_s: ArrayLike,
    *,
    policies: Sequence[str] = tuple(POLICIES),
    per_worker: int = 200,
    seed: int = 1,
) -> pd.DataFrame:
    """Play fleets of several sizes through, each with every policy.

    Args:
        sizes: Workers of each fleet.
        rho: Utilisation of a worker.
        services_s: Service times to draw from: measured ones, or a sample.
        policies: Of simulation.POLICIES.
        per_worker: Requests per worker, at least; the first half of all is left out, for a fleet
            is empty at first.
        seed: Of the chance.

    Returns:
        One row per size and policy: workers, policy, requests (counted ones), mean_s, p99_s.
    """
    rows = []
    for workers in sizes:
        for policy in policies:
            n = max(_FEWEST, per_worker * workers)
            response_s = simulate_fleet(
                workers, rho, services_s, policy=policy, requests=n, seed=seed
            )[n // 2 :]
            rows.append({
                "workers": workers, "policy": policy, "requests": len(response_s),
                "mean_s": float(response_s.mean()),
                "p99_s": float(np.quantile(response_s, 0.99)),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=["workers", "policy", "requests", "mean_s", "p99_s"])


def measured_fleets(runs: Iterable["Run"], *, level: float = 0.998) -> pd.DataFrame:
    """Set real workers beside simulated ones with the same service times.

    Args:
        runs: Open loops, each with its `balance` and any number of pods that serve one request at
            a time.
        level: Of the band.

    Returns:
        One row per run: workers (pods that answered), policy, requests, mean_s (from sending to
        answer), low_s and high_s (where the simulation puts the mean of a run of this length),
        invalid (why the run's load was not what was asked for; "" if it was).
    """
    columns = ["workers", "policy", "requests", "mean_s", "low_s", "high_s", "invalid"]
    return pd.DataFrame([_measure(run, level) for run in runs], columns=columns)


def _measure(run: "Run", level: float) -> dict[str, object]:
    sent = select_judged(run.requests)
    sent = sent[sent["ok"]]
    policy = str(run.settings.get("balance") or "random")  # as kube-proxy does
    about = {"policy": policy, "requests": len(sent), "invalid": "; ".join(run.validity.reasons)}
    if sent.empty:
        return about
    services_s, workers = sent["service_s"].to_numpy(), sent["pod"].nunique()
    rho = min(_FULLEST, float(run.settings["rate_rps"]) * services_s.mean() / workers)
    means_s = [
        simulate_fleet(
            workers, rho, services_s, policy=policy, requests=len(sent), seed=seed
        ).mean()
        for seed in range(_REPETITIONS)
    ]
    low_s, high_s = np.quantile(means_s, [(1 - level) / 2, (1 + level) / 2])
    mean_s = float((sent["done_s"] - sent["sent_s"]).mean())
    return about | {"workers": workers, "mean_s": mean_s, "low_s": low_s, "high_s": high_s}
