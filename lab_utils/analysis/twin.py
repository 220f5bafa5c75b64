"""The twin of a run: the recorded requests put through an ideal server."""

import numpy as np
import pandas as pd

from lab_utils.analysis.outages import select_judged
from lab_utils.simulation import Server, serve


def twin(requests: pd.DataFrame, server: Server | None = None) -> pd.DataFrame:
    """Replay each pod's requests through the queue of the textbook.

    Send times and service times are those that were recorded, so chance is the same on both sides
    and what is left is the difference between a server and its model: tight, where a formula is
    only an average over all chance.

    Args:
        requests: The requests table. Those without a service time (they failed) are arrivals of
            the mean service time where only one pod answered, and left out elsewhere: nobody
            knows whose they were.
        server: How each pod serves; one slot, first come, first served, by default.

    Returns:
        One row per pod that answered: pod, requests, mean_s and p99_s as measured (from sending to
        answer), twin_mean_s, twin_p99_s, refused_share, twin_refused_share.
    """
    sent = select_judged(requests).sort_values("sent_s")
    served = sent[sent["ok"] & sent["service_s"].notna()]
    pods = sorted(served["pod"].unique())
    rows = [
        {"pod": pod} | _compare(sent if len(pods) == 1 else served[served["pod"] == pod], server)
        for pod in pods
    ]
    columns = ["pod", "requests", "mean_s", "p99_s", "twin_mean_s", "twin_p99_s"]
    return pd.DataFrame(rows, columns=[*columns, "refused_share", "twin_refused_share"])


def _compare(sent: pd.DataFrame, server: Server | None) -> dict[str, float]:
    known_s = sent["service_s"].fillna(sent["service_s"].mean()).to_numpy()
    sent_s = sent["sent_s"].to_numpy()
    ideal = serve(sent_s, known_s, server)
    measured_s = (sent["done_s"] - sent["sent_s"])[sent["ok"]].to_numpy()
    twin_s = (ideal.end_s - sent_s)[ideal.ok]
    return {
        "requests": len(sent),
        **_figures("", measured_s),
        **_figures("twin_", twin_s),
        "refused_share": 1 - float(sent["ok"].mean()),
        "twin_refused_share": 1 - float(ideal.ok.mean()),
    }


def _figures(
    prefix: str, times_s: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> dict[str, float]:
    if not times_s.size:
        return {f"{prefix}mean_s": np.nan, f"{prefix}p99_s": np.nan}
    return {
        f"{prefix}mean_s": float(times_s.mean()),
        f"{prefix}p99_s": float(np.quantile(times_s, 0.99)),
    }
