"""One point per run: what a curve over several runs is drawn from, beside its theory."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lab_utils.analysis.outages import select_judged
from lab_utils.analysis.twin import twin
from lab_utils.simulation import Server, response_band
from lab_utils.theory import mmc_response_s

if TYPE_CHECKING:
    from lab_utils.runs import Run


def response_points(
    runs: Iterable["Run"], *, service_s: float, slots: int = 1, level: float = 0.95
) -> pd.DataFrame:
    """Give the mean response of runs at several rates, with twin, theory and chance.

    Args:
        runs: Open loops against one pod, each at its own rate.
        service_s: Mean service time that was asked for, in seconds.
        slots: Requests the pod serves at a time.
        level: Of the band.

    Returns:
        One row per run, by rho: rho, requests, mean_s (from sending to answer), twin_s (the same
        requests on an ideal server), theory_s (of an endless run, M/M/c), low_s and high_s
        (where chance puts the mean of a run of this length), in_system (requests in the system,
        looked up at moments 1 ms apart), flow (arrivals a second times mean_s), invalid (why the
        load was not what was asked for; "" if it was).
    """
    rows = [_point(run, service_s, slots, level) for run in runs]
    columns = [
        "rho", "requests", "mean_s", "twin_s", "theory_s", "low_s", "high_s", "in_system", "flow",
        "invalid",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).sort_values("rho", ignore_index=True)


def _point(run: "Run", service_s: float, slots: int, level: float) -> dict[str, float | str]:
    rate_rps = float(run.settings["rate_rps"])
    rho = rate_rps * service_s / slots
    sent = select_judged(run.requests)
    sent = sent[sent["ok"]]
    known_s = sent["service_s"].dropna().to_numpy()
    point: dict[str, float | str] = {
        "rho": rho,
        "requests": len(sent),
        "theory_s": mmc_response_s(rho, service_s, slots),
        "invalid": "; ".join(run.validity.reasons),
    }
    if len(known_s) == 0:
        return point
    mean_s = float((sent["done_s"] - sent["sent_s"]).mean())
    band, _ = response_band(len(sent), rate_rps, known_s, slots=slots, level=level)
    ideal = twin(run.requests, Server(slots=slots))
    weights = ideal["requests"] / ideal["requests"].sum()
    span_s = float(sent["done_s"].max() - sent["sent_s"].min())
    return point | {
        "mean_s": mean_s,
        "twin_s": float((ideal["twin_mean_s"] * weights).sum()),
        "low_s": band.low,
        "high_s": band.high,
        "in_system": _mean_in_system(sent),
        "flow": len(sent) / span_s * mean_s,
    }


def _mean_in_system(sent: pd.DataFrame, step_s: float = 0.001) -> float:
    """Look at the system at moments step_s apart and count who is in it."""
    moments_s = np.arange(sent["sent_s"].min(), sent["done_s"].max(), step_s)
    came = np.searchsorted(np.sort(sent["sent_s"].to_numpy()), moments_s, side="right")
    left = np.searchsorted(np.sort(sent["done_s"].to_numpy()), moments_s, side="right")
    return float((came - left).mean())


def users_points(runs: Iterable["Run"]) -> pd.DataFrame:
    """Give the throughput of closed loops with several numbers of users.

    Args:
        runs: Closed loops, each with its own number of users.

    Returns:
        One row per run, by users: users, requests (answered), rps (answers a second), mean_s.
    """
    rows = []
    for run in runs:
        done = run.requests[run.requests["ok"]]
        span_s = float(done["done_s"].max() - done["sent_s"].min()) if len(done) else np.nan
        mean_s = float(done["latency_s"].mean())
        rows.append(
            {
                "users": int(run.settings["users"]),
                "requests": len(done),
                "rps": len(done) / span_s,
                "mean_s": mean_s,
            }
        )
    columns = ["users", "requests", "rps", "mean_s"]
    return pd.DataFrame(rows, columns=columns).sort_values("users", ignore_index=True)


def work_points(runs: Iterable["Run"]) -> pd.DataFrame:
    """Give the latency of each request beside its work and the CPU limit of the pod it met.

    Args:
        runs: Runs with `service_ms`, against pods that burn it as CPU time.

    Returns:
        One row per answered request: role, limit_cores (NaN where the pod has none), work_s,
        latency_s.
    """
    tables = [
        pd.DataFrame(
            {
                "role": answered["role"],
                "limit_cores": [_limit_cores(run, role) for role in answered["role"]],
                "work_s": float(run.settings["service_ms"]) / 1e3,
                "latency_s": answered["latency_s"],
            }
        )
        for run in runs
        for answered in [run.requests[run.requests["ok"]]]
    ]
    return pd.concat([_NO_WORK, *tables], ignore_index=True).astype(_NO_WORK.dtypes)


_NO_WORK = pd.DataFrame(
    {
        "role": pd.Series(dtype="str"),
        **dict.fromkeys(("limit_cores", "work_s", "latency_s"), pd.Series(dtype="float64")),
    }
)


def _limit_cores(run: "Run", role: str) -> float:
    return float(run.settings.get("limits", {}).get(role, {}).get("cpu_cores", np.nan))


def batch_points(runs: Mapping[int, "Run"]) -> pd.DataFrame:
    """Give throughput and time of full batches, by their size.

    Args:
        runs: For each size the run of a closed loop, with at least twice as many users, against a
            server that batches up to that size.

    Returns:
        One row per size: size, requests (in full batches), rps (from the first of their answers to
        the last), batch_s (what a batch took by the server's account, median), invalid (as in
        response_points).
    """
    rows = [_batch_point(size, run) for size, run in runs.items()]
    columns = ["size", "requests", "rps", "batch_s", "invalid"]
    return pd.DataFrame(rows, columns=columns).sort_values("size", ignore_index=True)


def _batch_point(size: int, run: "Run") -> dict[str, float | str]:
    done = run.requests[run.requests["ok"] & (run.requests["batch_size"] == size)]
    point: dict[str, float | str] = {"size": size, "requests": len(done)}
    point["invalid"] = "; ".join(run.validity.reasons)
    if len(done) < 2 * size:
        return point
    span_s = float(done["done_s"].max() - done["done_s"].min())
    return point | {"rps": (len(done) - size) / span_s, "batch_s": done["service_s"].median()}
