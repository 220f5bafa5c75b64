"""Draw every chart into docs/gallery, from one stored run and from simulations of a fixed seed.

    python -m tests.tools.make_gallery [NAME ...]   draws the page anew, or some charts of it
    python -m tests.tools.make_gallery --run        measures the stored run anew before

What is simulated says so on the page. The page names every chart of lab_utils.charts; a test holds
the two together.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lab_utils import analysis, charts, theory
from lab_utils.runs import Run
from lab_utils.simulation import POLICIES, Server, response_band, serve, simulate_fleet
from lab_utils.tables import make_table
from tests.tools.made_nodes import node_run

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "gallery"
S = 0.1
MEASURED, SIMULATED = "the stored run", "simulation"


@dataclass(frozen=True)
class Picture:
    """One chart of the page."""

    name: str
    question: str
    alt: str
    source: str
    draw: Callable[[Run], Any]


def measure() -> None:
    """Make the stored run: the primary is killed at 12 s of 40 s at 20 requests a second."""
    from lab_utils.session import Lab
    from lab_utils.settings import load_settings

    lab = Lab(load_settings(backend="embedded", cluster="gallery"))
    try:
        lab.ensure()
        kill = lab.faults.kill("primary", at_s=12)
        lab.fire(rate_rps=20, duration_s=40, service_ms=20, faults=[kill]).save(FOLDER / "run")
    finally:
        lab.down()


def queued(n: int, rate_rps: float, server: Server, seed: int = 1) -> Run:
    """Simulate a run behind one server: exponential services of mean S, Poisson arrivals."""
    random = np.random.default_rng(seed)
    due_s = np.cumsum(random.exponential(1 / rate_rps, n))
    return as_run(due_s, serve(due_s, random.exponential(S, n), server))


def as_run(due_s: np.ndarray, served: Any, attempts: np.ndarray | None = None) -> Run:
    ok = served.ok
    rows = pd.DataFrame(
        {
            "request_id": np.arange(len(due_s)), "scheduled_s": due_s, "sent_s": due_s,
            "done_s": np.where(ok, served.end_s, due_s), "lag_s": 0.0, "ok": ok,
            "latency_s": np.where(ok, served.end_s - due_s, math.nan),
            "role": np.where(ok, "primary", ""),
            "error": np.where(ok, "", "http_503"), "attempts": 1 if attempts is None else attempts,
        }
    )  # fmt: skip
    requests = make_table("requests", rows)
    empty = Run.load(FOLDER / "run")
    none = {name: make_table(name) for name in ("usage", "events", "faults", "states", "schedule")}
    outages = analysis.find_outages(requests)
    settings = {"loop": "simulated"}
    return replace(
        empty, requests=requests, outages=outages, settings=settings, backend="simulated", **none
    )


def lost_machine() -> Run:
    made = node_run("stop node", not_ready_s=8, given_up_s=10, replaced_s=14.2)
    return replace(made, backend="simulated", settings={"loop": "simulated"})


def responses() -> pd.DataFrame:
    rows, random = [], np.random.default_rng(12)
    for rho in (0.3, 0.5, 0.7, 0.8, 0.9):
        n = int(60 * rho / S)
        due_s, service_s = np.cumsum(random.exponential(S / rho, n)), random.exponential(S, n)
        mean_s = float((serve(due_s, service_s).end_s - due_s).mean())
        band, _ = response_band(n, rho / S, random.exponential(S, 20_000))
        noise_s = random.exponential(0.004)
        rows.append(
            {"rho": rho, "mean_s": mean_s + noise_s, "twin_s": mean_s, "requests": n,
             "low_s": band.low, "high_s": band.high}
        )  # fmt: skip
    return pd.DataFrame(rows)


def chosen() -> pd.DataFrame:
    """Play 400 requests of 40 ms on four pods, and 300 other lots of chance for the bands."""
    services_s = np.random.default_rng(7).exponential(0.04, 20_000)
    rows = []
    for policy in POLICIES:
        runs = [
            simulate_fleet(4, 0.8, services_s, policy=policy, requests=400, seed=seed)
            for seed in range(300)
        ]
        means_s, p99_s = np.mean(runs, axis=1), np.quantile(runs, 0.99, axis=1)
        (mean_low_s, mean_high_s), (p99_low_s, p99_high_s) = (
            np.quantile(values, (0.005, 0.995)) for values in (means_s, p99_s)
        )
        rows.append(
            {"policy": policy, "requests": 400,
             "mean_s": means_s[0], "p99_s": p99_s[0], "mean_low_s": mean_low_s,
             "mean_high_s": mean_high_s, "p99_low_s": p99_low_s, "p99_high_s": p99_high_s}
        )  # fmt: skip
    return pd.DataFrame(rows)


def closed_loops() -> pd.DataFrame:
    return pd.DataFrame([{"users": n, "rps": closed_loop(n)} for n in (1, 2, 4, 8, 12, 16, 24, 32)])


def closed_loop(users: int, think_s: float = 0.9, n: int = 2000) -> float:
    random = np.random.default_rng(users)
    free_s, ready_s = 0.0, [0.0] * users
    for service_s in random.exponential(S, n):
        user = int(np.argmin(ready_s))
        free_s = max(free_s, ready_s[user]) + service_s
        ready_s[user] = free_s + random.exponential(think_s)
    return n / free_s


def stopped(work_ms: float, quota_ms: float, start_ms: float) -> float:
    """Give the latency in seconds of work that begins start_ms after a period has."""
    now_ms, left_ms, end_ms = start_ms, work_ms, 100.0
    while True:
        run_ms = min(left_ms, quota_ms, end_ms - now_ms)
        now_ms, left_ms = now_ms + run_ms, left_ms - run_ms
        if left_ms <= 1e-9:
            return (now_ms - start_ms) / 1e3
        now_ms, end_ms = end_ms, end_ms + 100


def throttled() -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {"work_s": work_ms / 1e3, "latency_s": stopped(float(work_ms), 10.0, start_ms)}
        for work_ms in (3, 8, 15, 25, 35, 55)
        for start_ms in random.uniform(0, 100, 40)
    )


def throttled_by_limit() -> pd.DataFrame:
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {"limit_cores": cores, "latency_s": stopped(25.0, 100 * cores, start_ms)}
        for cores in (0.05, 0.1, 0.2)
        for start_ms in random.uniform(0, 100, 40)
    )


def starts() -> pd.DataFrame:
    """Give what was recorded on Kind: five starts each, minimum, median and maximum of them."""
    recorded = {0.1: (5.75, 6.79, 6.90), 0.2: (3.87, 3.90, 3.92)}
    return pd.DataFrame(
        [{"limit_cores": cores, "startup_s": s} for cores, took in recorded.items() for s in took]
    )


def fanned_out() -> pd.DataFrame:
    random = np.random.default_rng(4)
    return pd.DataFrame(
        {"fan_out": n, "requests": 400, "slow": (random.random((400, n)) < 0.05).any(1).sum()}
        for n in (1, 2, 5, 10, 15, 20)
    )


def batches() -> pd.DataFrame:
    random, sizes = np.random.default_rng(5), np.array([1, 2, 4, 8, 16, 32])
    took_s = (0.05 + 0.005 * sizes) * random.normal(1.02, 0.01, 6)
    return pd.DataFrame({"size": sizes, "rps": sizes / took_s, "batch_s": took_s})


def fleets() -> pd.DataFrame:
    pool_s = np.random.default_rng(6).exponential(S, 100_000)
    pool_s *= S / pool_s.mean()
    return pd.DataFrame(
        {
            "workers": size,
            "policy": policy,
            "mean_s": simulate_fleet(
                size, 0.8, pool_s, policy=policy, requests=max(200_000, 500 * size)
            ).mean(),
        }
        for policy in POLICIES
        for size in (2, 4, 16, 100, 1000, 10_000)
    )


def stalls() -> dict[str, Run]:
    """Simulate a stall of 10 s at half load, for clients with and without retries."""
    return {name: stalled(attempts) for name, attempts in (("1 attempt", 1), ("3 attempts", 3))}


def stalled(attempts: int, rate_rps: float = 5.0, timeout_s: float = 1.0) -> Run:
    """Simulate clients that give up after a second and try again at a server that knows nothing."""
    random = np.random.default_rng(7)
    n = int(60 * rate_rps)
    due_s = np.sort(random.uniform(0, 60, n))
    asked = [(t, i, 1) for i, t in enumerate(due_s)]
    free_s, done_s, made = 0.0, np.full(n, math.nan), np.ones(n, int)
    while asked:
        asked.sort()
        now_s, i, attempt = asked.pop(0)
        begin_s = max(now_s, free_s, 20.0 if 10 <= now_s < 20 else 0.0)
        free_s = begin_s + random.exponential(S)
        if free_s - now_s <= timeout_s:
            done_s[i] = min(done_s[i], free_s) if done_s[i] == done_s[i] else free_s
        elif attempt < attempts:
            made[i] = attempt + 1
            asked.append((now_s + timeout_s, i, attempt + 1))
    served = type("Served", (), {"ok": ~np.isnan(done_s), "end_s": done_s})
    run = as_run(due_s, served, made)
    stall = [{"start_s": 10.0, "end_s": 20.0, "name": "stall, 10 s"}]
    return replace(run, faults=make_table("faults", stall))


def load_points() -> pd.DataFrame:
    rows = []
    for rate_rps in (2, 5, 8, 10, 12, 16, 20, 30):
        for name, server in (("endless queue", Server()), ("5 places", Server(places=5))):
            run = queued(int(120 * rate_rps), rate_rps, server)
            good = (run.requests["latency_s"] <= 1.0).sum() / 120
            rows.append({"name": name, "offered_rps": rate_rps, "goodput_rps": good})
    return pd.DataFrame(rows)


def retried() -> pd.DataFrame:
    random, rows = np.random.default_rng(8), []
    for failing in (0.05, 0.2, 0.5, 0.8, 0.95):
        made = np.minimum(random.geometric(1 - failing, 500), 3)
        margin = 1.96 * made.std() / math.sqrt(500)
        rows.append(
            {"failing": failing, "attempts": made.mean(), "low": made.mean() - margin,
             "high": made.mean() + margin}
        )  # fmt: skip
    return pd.DataFrame(rows)


def scaled() -> Run:
    """Simulate what an autoscaler does to a burning worker at 100m with requests of 50m."""
    run = queued(900, 12.0, Server(slots=4), seed=9)
    steps = [(-1.0, "a"), (31.0, "b"), (31.5, "c"), (32.0, "d")]
    states = [{"t_s": t, "kind": "pod", "name": name, "ready": True} for t, name in steps]
    usage = [
        {"t_s": float(t), "pod": name, "role": "primary", "ready": True,
         "cpu_cores": 0.1 if t < 32 else 0.025 + 0.004 * math.sin(t)}
        for t in range(70) for at_s, name in steps if t >= at_s
    ]  # fmt: skip
    requests = run.requests.copy()
    early = requests["scheduled_s"] < 32
    requests.loc[early, "latency_s"] += 0.06 * requests.loc[early, "scheduled_s"]
    tables = {"states": make_table("states", states), "usage": make_table("usage", usage)}
    return replace(run, requests=requests, **tables)


def styles() -> pd.DataFrame:
    """Give the phases of four ways to fail over, as the theory's middle puts them."""
    return pd.DataFrame(
        {
            "client-side": [0.0, 0.0, 0.5, 0.0],
            "active-active": [0.6, 0.2, 0.05, 0.0],
            "selector switch": [1.0, 0.6, 0.1, 0.3],
            "Lease 3/2/.5": [3.0, 0.6, 0.1, 0.3],
        },
        index=["detect_s", "propagate_s", "reconnect_s", "warmup_s"],
    ).T


def hangs() -> pd.DataFrame:
    random = np.random.default_rng(10)
    return pd.DataFrame(
        {
            "period_s": period, "failure_threshold": threshold, "timeout_s": 1,
            "detected_s": threshold * period + 1 - random.uniform(0, period),
            "predicted_s": {2: 4.0, 5: 11.0, 10: 30.0}[period],
        }
        for period, threshold in ((2, 2), (5, 3), (10, 3)) for _ in range(5)
    )  # fmt: skip


def guesses() -> pd.DataFrame:
    """Simulate twelve learners whose predictions are off by a factor of two, give or take."""
    random, rows = np.random.default_rng(1), []
    for check, measured in (("00.1", 4.5), ("01.4", 103), ("02.3", 480), ("07.3", 7), ("07.6", 30)):
        predicted = measured * np.exp(random.normal(0, 0.7, 12))
        factors = np.exp(np.abs(np.log(predicted / measured)))
        rows += [(check, *pair, measured) for pair in zip(predicted, factors, strict=True)]
    return pd.DataFrame(rows, columns=["check", "predicted", "off_by", "measured"])


def verdicts() -> pd.DataFrame:
    """Make up a class of twelve on its way through notebook 07."""
    return pd.DataFrame(
        {
            "check": [f"07.{place}" for place in range(1, 9)],
            "passed": [12, 11, 11, 9, 8, 5, 3, 2],
            "failed": [0, 1, 0, 2, 0, 3, 0, 0],
            "unknown": [0, 0, 0, 0, 2, 1, 0, 0],
        }
    )


TAILS = {
    "one server": lambda: queued(20_000, 8.0, Server()),
    "two servers": lambda: queued(20_000, 16.0, Server(slots=2)),
    "four servers": lambda: queued(20_000, 32.0, Server(slots=4)),
}
PICTURES = [
    Picture(
        "timeline", "When was which request slow, or lost?",
        "Latency of each request at the time it was due, circles for the primary and squares for "
        "the backup, crosses for failures within a grey band after the kill",
        MEASURED, lambda run: charts.timeline(run),
    ),
    Picture(
        "failover", "What did the failover look like?",
        "The timeline over requests per second by who answered: the primary's line falls to zero "
        "after the kill and the backup's doubles",
        MEASURED, lambda run: charts.failover(run, predicted=2.0),
    ),
    Picture(
        "phases", "What is an outage made of?",
        "A horizontal bar per way to fail over, stacked from detect, propagate, reconnect and "
        "warm-up, with brackets for the predicted ranges",
        "theory, its middle values", lambda _: charts.phases(
            styles(),
            predicted={
                "selector switch": theory.selector_switch_s(theory.kill_window_s()),
                "Lease 3/2/.5": theory.lease_takeover_s(3, 0.5),
                "active-active": theory.kill_window_s(),
            },
        ),
    ),
    Picture(
        "histogram", "How are the latencies spread?",
        "Histogram of latencies with lines at p50 and p99, a diamond at the predicted latency",
        MEASURED, lambda run: charts.histogram(run, predicted=0.022),
    ),
    Picture(
        "ccdf", "How long is the tail?",
        "Share of answers slower than a latency on a logarithmic axis, for one, two and four "
        "servers at the same utilisation, and the theory of one",
        SIMULATED, lambda _: charts.ccdf(
            {name: make() for name, make in TAILS.items()}, slo_s=1.0,
            theory={"one server": theory.exceeds_exponential(S / 0.2)}, predicted=2.3,
        ),
    ),
    Picture(
        "parts", "What is a request's time made of?",
        "Stacked bars of client, queue, service and overhead per request, with their medians",
        MEASURED, lambda run: charts.parts(run),
    ),
    Picture(
        "shares", "Who answered how much?",
        "Share of answers of primary and backup with the 95 % band of a random choice",
        MEASURED, lambda run: charts.shares(run, predicted={"primary": 0.5}),
    ),
    Picture(
        "usage", "What did the pods use?",
        "CPU, memory and throttled periods of both pods over time, against their limits",
        MEASURED, lambda run: charts.usage(run),
    ),
    Picture(
        "rollout", "What did a change lose?",
        "Failed requests per second over the number of ready pods",
        MEASURED, lambda run: charts.rollout(run, least_ready=1),
    ),
    Picture(
        "readiness", "Who was ready when, and what did that cost?",
        "A lane per pod, filled while it is ready and dashed at the kill, over requests per second",
        MEASURED, lambda run: charts.readiness(run, predicted={"primary": 4.5}),
    ),
    Picture(
        "policies", "What does a better choice of a pod save?",
        "Mean and p99 for four ways to choose a pod, each over a grey bar of what chance allows",
        SIMULATED, lambda _: charts.policies(chosen(), predicted={"power_of_two": 0.4}),
    ),
    Picture(
        "availability", "Which arrangement loses fewest?",
        "Share of failed requests per run with its interval, diamonds for the predictions",
        "the stored run and simulation", lambda run: charts.availability(
            {"active-active": run, "one pod, 10 s stall": stalled(1)},
            predicted={"active-active": 0.014, "one pod, 10 s stall": 0.17},
        ),
    ),
    Picture(
        "response", "What does utilisation cost?",
        "Mean response against utilisation: points on the M/M/1 curve, grey bars for what chance "
        "allows a run of a minute, squares for the trace twin",
        SIMULATED, lambda _: charts.response(responses(), service_s=S, predicted={0.8: 0.42}),
    ),
    Picture(
        "throughput", "What can a closed loop reach?",
        "Answers per second against users under the two bounds, with the knee and a fitted "
        "scalability law",
        SIMULATED, lambda _: charts.throughput(
            closed_loops(), service_s=S, think_s=0.9, predicted={20: 10},
            usl=analysis.fit_usl(closed_loops()["users"], closed_loops()["rps"]),
        ),
    ),
    Picture(
        "staircase", "What does a CPU limit do?",
        "Latency against CPU work: steps of 100 ms in the grey envelope of the theory",
        SIMULATED, lambda _: charts.staircase(
            throttled(), limit_cores=0.1, predicted={0.025: 0.1}
        ),
    ),
    Picture(
        "by_limit", "What does half the CPU limit cost?",
        "Latency of 25 ms of work at three limits in the grey envelope of the theory, falling in "
        "steps as the limit grows",
        SIMULATED, lambda _: charts.by_limit(
            throttled_by_limit(), work_s=0.025, predicted={0.05: 0.5}
        ),
    ),
    Picture(
        "startup", "How long does a start take?",
        "Start-up time against one over the limit, on a straight line with a band of 30 %",
        "recordings of Kind", lambda _: charts.startup(starts(), cpu_s=0.53, predicted={0.1: 5}),
    ),
    Picture(
        "detection", "How long is dead unnoticed?",
        "Time until a hang was noticed for three probes, in grey bars of the prediction",
        SIMULATED, lambda _: charts.detection(hangs()),
    ),
    Picture(
        "fan_out", "What does one slow answer in twenty do to many?",
        "Share of slow requests against fan-out, on the curve of the theory",
        SIMULATED, lambda _: charts.fan_out(fanned_out(), one_slow=0.05, predicted={20: 0.5}),
    ),
    Picture(
        "batching", "What do batches give, and cost?",
        "Throughput and time of a batch against its size, on the curves of the theory",
        SIMULATED, lambda _: charts.batching(
            batches(), fixed_s=0.05, per_item_s=0.005, predicted={8: 80}
        ),
    ),
    Picture(
        "goodput", "Who recovers from a stall?",
        "Goodput over time after a stall: clients with one attempt recover, those with three later",
        SIMULATED, lambda _: charts.goodput(stalls(), slo_s=1.0, bin_s=2.0),
    ),
    Picture(
        "load_curve", "What comes of more load?",
        "Goodput against offered load: an endless queue collapses beyond its capacity, a bounded "
        "one holds it",
        SIMULATED, lambda _: charts.load_curve(
            load_points(), capacity_rps=10, predicted={20: 10}
        ),
    ),
    Picture(
        "amplification", "What do retries add?",
        "Attempts per request against the share that fails, on curves for two and three attempts",
        SIMULATED, lambda _: charts.amplification(
            retried(), attempts=(2, 3), predicted={0.5: 2.0}
        ),
    ),
    Picture(
        "autoscaling", "What does the autoscaler do?",
        "Ready pods, CPU over request and latency on one time axis, with the predicted steps",
        SIMULATED, lambda _: charts.autoscaling(
            scaled(), request_cores=0.05, target=0.5, predicted=[(0, 1), (30, 4)]
        ),
    ),
    Picture(
        "lifelines", "What becomes of the pods of a dead machine?",
        "Requests above; below a bar for the life of each machine and pod: NotReady, given up, "
        "replaced",
        SIMULATED, lambda _: charts.lifelines(lost_machine(), predicted={"not_ready_s": 7.5}),
    ),
    Picture(
        "fleet", "What does the policy matter in a large fleet?",
        "Mean response against the number of workers, one line per policy, with the limit of two "
        "choices",
        SIMULATED, lambda _: charts.fleet(fleets(), service_s=S, rho=0.8),
    ),
    Picture(
        "dashboard", "What does a run say, all at once?",
        "Timeline, rates, histogram, tail, parts, shares and usage of one run on one sheet",
        MEASURED, lambda run: charts.dashboard(run),
    ),
    Picture(
        "spread", "How good were a class's predictions?",
        "Every prediction over what was measured, one row per check, on a logarithmic axis with "
        "the band of a factor of two",
        SIMULATED, lambda _: charts.spread(guesses()),
    ),
    Picture(
        "stuck", "Where is a class stuck?",
        "A bar per check: how many learners have passed it, failed it, or got no verdict",
        SIMULATED, lambda _: charts.stuck(verdicts()),
    ),
]  # fmt: skip


def main() -> None:
    mpl.use("Agg")
    if "--run" in sys.argv[1:]:
        measure()
    wanted = {name for name in sys.argv[1:] if not name.startswith("-")}
    run = Run.load(FOLDER / "run")
    for picture in PICTURES:
        if not wanted or picture.name in wanted:
            draw(picture, run)
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")


def draw(picture: Picture, run: Run) -> None:
    with charts.style():
        drawn = picture.draw(run)
        axes = list(drawn.values()) if isinstance(drawn, dict) else drawn
        ax = axes if isinstance(axes, Axes) else axes[0]
        ax.figure.savefig(FOLDER / f"{picture.name}.png", dpi=110, metadata={"Software": None})
        plt.close(ax.figure)
    print(picture.name, flush=True)


def page() -> str:
    said = """# Gallery

Every chart of `lab.charts`, made by `make gallery`. A chart of a run takes the run; the others a
table whose columns its docstring names. Diamonds are predictions, grey bands what chance or theory
allows, dotted lines limits. `run/` is a run of the embedded cluster: 20 requests a second, the
primary killed at 12 s; `lab.Run.load("docs/gallery/run")` reads it. Where its charts say INVALID,
the machine that it was made on was too busy to send on time: such a run looks like this.
"""
    for picture in PICTURES:
        said += (
            f"\n## {picture.question}\n\n![{picture.alt}.]({picture.name}.png)\n\n"
            f"`lab.charts.{picture.name}`; data: {picture.source}.\n"
        )
    return said


if __name__ == "__main__":
    main()
