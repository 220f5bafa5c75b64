"""How soon a cluster noticed that a pod was gone, beside what its probe promised."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lab_utils.theory import probe_detection_s

if TYPE_CHECKING:
    from lab_utils.runs import Run

_COLUMNS = [
    "role", "fault", "start_s", "period_s", "failure_threshold", "timeout_s", "low_s", "high_s",
    "detected_s", "back_s", "invalid",
]  # fmt: skip
_DEFAULTS = {"periodSeconds": 10, "failureThreshold": 3, "timeoutSeconds": 1}


def detection_points(runs: "Iterable[Run]", pods: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Say for each fault how soon its pod was not ready, and when it was ready again.

    Args:
        runs: With faults whose targets are roles, one pod each.
        pods: The pods as objects, for the settings of their readiness probes.

    Returns:
        One row per fault on a pod with a readiness probe: role, fault, start_s, period_s,
        failure_threshold, timeout_s (the probe's), low_s and high_s (a hang's range with it),
        detected_s and back_s (seconds from the fault until not ready, and until ready again; NaN
        where it did not happen in the run), invalid (why the run's load was not what was asked
        for; "" if it was).

    Source:
        Kubernetes, Probe v1 core: periodSeconds is 10, failureThreshold 3 and timeoutSeconds 1
        where a manifest does not say.
    """
    probes = {
        pod["metadata"].get("labels", {}).get("role", ""): probe
        for pod in pods
        if (probe := pod["spec"]["containers"][0].get("readinessProbe"))
    }
    rows = [
        _point(run, fault, probes[fault["target"]])
        for run in runs
        for fault in run.faults.to_dict("records")
        if fault["target"] in probes
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _point(run: "Run", fault: dict[Any, Any], probe: dict[str, Any]) -> dict[str, Any]:
    period_s, threshold, timeout_s = (probe.get(name, value) for name, value in _DEFAULTS.items())
    band = probe_detection_s(period_s, threshold, timeout_s)
    mine = run.states[(run.states["kind"] == "pod") & (run.states["role"] == fault["target"])]
    gone_s = _first(mine, ready=False, after_s=fault["start_s"])
    back_s = _first(mine, ready=True, after_s=gone_s)
    return {
        "role": fault["target"],
        "fault": fault["name"],
        "start_s": fault["start_s"],
        "period_s": period_s,
        "failure_threshold": threshold,
        "timeout_s": timeout_s,
        "low_s": band.low,
        "high_s": band.high,
        "detected_s": gone_s - fault["start_s"],
        "back_s": back_s - fault["start_s"],
        "invalid": "; ".join(run.validity.reasons),
    }


def _first(states: pd.DataFrame, *, ready: bool, after_s: float) -> float:
    """Give the first moment after another at which it was so; NaN if it never was."""
    return float(states.loc[(states["ready"] == ready) & (states["t_s"] > after_s), "t_s"].min())


def silences(requests: pd.DataFrame, *, by: str = "role", min_gap_s: float = 1.0) -> pd.DataFrame:
    """Find the spans in which one of several answered nothing.

    Args:
        requests: The requests table; only successes are counted.
        by: "role", "pod" or "node".
        min_gap_s: Shorter pauses are chance: at 10 answers a second one of 1 s has e^-10.

    Returns:
        One row per span: the column `by`, start_s, end_s, duration_s. The last one may be cut by
        the end of the run, which is when the last answer came, whoever gave it.
    """
    answered = requests[requests["ok"]].sort_values("done_s")
    spans = []
    for name, mine in answered.groupby(by):
        moments_s = np.append(mine["done_s"].to_numpy(), answered["done_s"].max())
        for at in np.flatnonzero(np.diff(moments_s) > min_gap_s):
            spans.append((name, moments_s[at], moments_s[at + 1]))
    table = pd.DataFrame(spans, columns=[by, "start_s", "end_s"])
    return table.assign(duration_s=table["end_s"] - table["start_s"])
