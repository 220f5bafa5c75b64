"""Notebook 01: what a request's time is made of."""

import pandas as pd

from lab_utils import analysis
from lab_utils.course.claims import Finding, at_most, claim, require, within
from lab_utils.runs import Run


def _medians_ms(run: Run) -> dict[str, float]:
    parts = analysis.parts(run.requests)
    require(len(parts) > 0, "no request was answered")
    return {str(name): float(value) * 1e3 for name, value in parts.median().items()}


@claim("01.1", "what the server says it took fits into what the client saw")
def parts_fit_into_the_total(run: Run) -> Finding:
    """Decide on the smallest remainder: two clocks, so a negative one means one of them is off."""
    parts = analysis.parts(run.requests)
    require(len(parts) > 0, "no request was answered")
    remainder_ms = float(parts["overhead_s"].min()) * 1e3
    return Finding(remainder_ms >= 0, f"{remainder_ms:.2f} ms left at least", "nothing below 0 ms")


@claim("01.2", "the service takes 100 ms")
def service_takes_its_time(run: Run) -> Finding:
    """Decide on the median of what the server says of itself."""
    return within(_medians_ms(run)["service_s"], 99, 101, "ms")


@claim("01.3", "nobody waits in a queue")
def queue_is_empty(run: Run) -> Finding:
    """Decide on the median wait."""
    return at_most(_medians_ms(run)["queue_s"], 1, "ms")


@claim("01.4", "little is left over", ask="median latency of a request of 100 ms, in ms")
def little_is_left_over(run: Run) -> Finding:
    """Decide on the median of what nobody accounts for; the prediction is of the whole.

    The quickest tenth tells a slow server from a machine that has other things to do.
    """
    medians_ms = _medians_ms(run)
    found = at_most(medians_ms["overhead_s"], 5, "ms")
    quickest_ms = 1e3 * float(analysis.parts(run.requests)["overhead_s"].quantile(0.1))
    busy = f"{found.seen} left over, {quickest_ms:.2f} ms in the quickest tenth: busy machine"
    require(found.holds or quickest_ms > 5, busy)
    return Finding(found.holds, found.seen, found.wanted, medians_ms["total_s"])


@claim("01.5", "one kept connection leads to one pod")
def connection_pins(run: Run) -> Finding:
    """Decide on who answered."""
    return within(run.requests.loc[run.requests["ok"], "pod"].nunique(), 1, 1, "pods", digits=0)


@claim("01.6", "new connections reach both pods",
       ask="share of the requests that the backup answers, 0 to 1", floor=0.05)  # fmt: skip
def new_connections_spread(run: Run) -> Finding:
    """Decide on the backup's share and its binomial band."""
    shares = analysis.shares(run.requests).set_index("role")["share"]
    share = float(shares.get("backup", 0.0))
    return Finding(0 < share < 1, f"{share:.2f}", "more than 0, less than 1", share)


@claim("01.7", "the clients that people use add little of their own")
def standard_clients_add_little(kept: Run, took_ms: pd.DataFrame) -> Finding:
    """Decide on the quicker quarter of each client's calls, beside the lab's own client.

    A machine on which that one already sees much left over is too busy to say more.
    """
    medians_ms = _medians_ms(kept)
    left_ms = medians_ms["overhead_s"]
    require(left_ms <= 5, f"the lab's own client has {left_ms:.1f} ms left over")
    require(len(took_ms) >= 20, f"only {len(took_ms)} calls of each client were timed")
    ends_ms = (99.0, medians_ms["total_s"] + 15)
    typical = {str(name): float(value) for name, value in took_ms.quantile(0.25).items()}
    seen = ", ".join(f"{name} {value:.1f} ms" for name, value in typical.items())
    holds = all(ends_ms[0] <= value <= ends_ms[1] for value in typical.values())
    return Finding(holds, seen, f"{ends_ms[0]:.0f} to {ends_ms[1]:.0f} ms each")
