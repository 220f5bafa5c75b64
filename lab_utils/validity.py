"""Whether the load was what it claims to be: a run that fails this says little about the server.

Pure: a run's tables and settings in, a verdict out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab_utils.arrivals import recall

MAX_LATENESS_SHARE = 0.05
"""Lateness at p99 as a share of the median service time: less than what is measured, by far."""
MAX_LATENESS_S = 0.001
"""The same where nobody says the service time."""
MAX_CPU_SHARE = 0.8
MAX_CLOCK_RESOLUTION_S = 1e-6
_KS_LIMIT = 1.949  # of a true Poisson process one run in a thousand is further away


@dataclass(frozen=True)
class Validity:
    """The verdict on a run's load.

    Attributes:
        reasons: Why the run is invalid, one phrase each; empty if it is valid.
        figures: What was looked at: achieved_rps, target_rps, ks (greatest distance of the gaps'
            distribution from the exponential) and ks_limit, lateness_p99_s, clock_resolution_s,
            client_cpu_share, client_errors. What does not apply is not there.
    """

    reasons: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether nothing speaks against the run."""
        return not self.reasons

    @property
    def text(self) -> str:
        """One line for a chart; empty if the run is valid."""
        return "" if self.valid else f"INVALID: {'; '.join(self.reasons)}"


def judge(requests: pd.DataFrame, schedule: pd.DataFrame, settings: Mapping[str, Any]) -> Validity:
    """Judge the load of a run; of an interrupted run, the part there is.

    Args:
        requests: The requests table.
        schedule: The schedule table; empty for a closed loop.
        settings: As a Run has them; what is missing is not judged.

    Source:
        MLPerf LoadGen's VALID and INVALID. Bounds: rate within 1 % or three standard errors,
        lateness at most 5 % of the median service time (1 ms where it is not known), clock at most
        1 us, client CPU below 80 %; the distance of the gaps is Kolmogorov's test at 0.1 %.
    """
    checks = [_judge_client(requests, settings)]
    if len(requests) and settings.get("loop") == "open":
        checks.append(_judge_lateness(requests))
        checks.append(_judge_rate(requests, schedule))
        checks.append(_judge_gaps(requests, settings))
    reasons = [reason for check in checks for reason in check.reasons]
    figures = {name: value for check in checks for name, value in check.figures.items()}
    return Validity(tuple(reasons), figures)


def _judge_client(requests: pd.DataFrame, settings: Mapping[str, Any]) -> Validity:
    client = settings.get("client") or {}
    errors = int((requests["error"] == "client").sum())
    figures, reasons = {"client_errors": float(errors)}, []
    if errors:
        reasons.append(f"{errors:,} requests failed in the client, which ran out of sockets")
    if client.get("wall_s"):
        share = figures["client_cpu_share"] = client["cpu_s"] / client["wall_s"]
        if share > MAX_CPU_SHARE:
            reasons.append(f"client CPU {share:.0%} (want at most {MAX_CPU_SHARE:.0%})")
    if client.get("clock_resolution_s"):
        resolution_s = figures["clock_resolution_s"] = client["clock_resolution_s"]
        if resolution_s > MAX_CLOCK_RESOLUTION_S:
            reasons.append(f"the clock moves in steps of {resolution_s * 1e6:.0f} us")
    return Validity(tuple(reasons), figures)


def _judge_lateness(requests: pd.DataFrame) -> Validity:
    late_s = float(np.quantile(requests["lag_s"], 0.99))
    service_s = requests["service_s"].median()
    limit_s = MAX_LATENESS_SHARE * service_s if service_s > 0 else MAX_LATENESS_S  # not nan
    reason = f"lateness p99 {late_s * 1e3:.2g} ms (want at most {limit_s * 1e3:.2g} ms)"
    return Validity((reason,) if late_s > limit_s else (), {"lateness_p99_s": late_s})


def _judge_rate(requests: pd.DataFrame, schedule: pd.DataFrame) -> Validity:
    """Compare how many left with how many were due by then."""
    until_s = float(requests["sent_s"].max())
    due_s = schedule["scheduled_s"].to_numpy()
    due = int((due_s <= until_s).sum())
    if not due or until_s <= 0:
        return Validity()
    target_rps = due / max(float(due_s[due - 1]), 1e-9)
    achieved_rps = len(requests) / until_s
    figures = {"achieved_rps": achieved_rps, "target_rps": target_rps}
    away = abs(achieved_rps / target_rps - 1)
    reason = f"sent {achieved_rps:.4g}/s instead of {target_rps:.4g}/s"
    return Validity((reason,) if away > max(0.01, 3 / math.sqrt(due)) else (), figures)


def _judge_gaps(requests: pd.DataFrame, settings: Mapping[str, Any]) -> Validity:
    """Test the gaps between sendings, on the time in which the rate is 1."""
    shape = recall(settings.get("arrivals", "constant"))
    if shape is None or shape.gaps != "poisson" or len(requests) < 2:
        return Validity()
    sent_s = np.sort(requests["sent_s"].to_numpy())
    expected = settings["rate_rps"] * shape.cumulate(sent_s, settings["duration_s"])
    distance = ks_distance(np.diff(expected))
    limit = _KS_LIMIT / math.sqrt(len(sent_s) - 1)
    reason = f"gaps {distance:.2g} away from Poisson (want at most {limit:.2g})"
    return Validity((reason,) if distance > limit else (), {"ks": distance, "ks_limit": limit})


def ks_distance(gaps: NDArray[np.float64]) -> float:
    """Give the Kolmogorov-Smirnov distance of gaps from the exponential with mean 1.

    Source:
        Massey (1951), The Kolmogorov-Smirnov Test for Goodness of Fit, JASA 46(253).
    """
    expected = -np.expm1(-np.sort(gaps))
    ranks = np.arange(len(gaps) + 1) / len(gaps)
    return float(max((ranks[1:] - expected).max(), (expected - ranks[:-1]).max()))
