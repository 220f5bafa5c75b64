"""The load generator beside its peers: cost, exactness of the schedule, coordinated omission.

Each figure is paired: the generator and its peer take turns in one run, so that a busy machine
slows both. Peers that cannot be had are said to be missing, not passed.
"""

import math
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lab_utils.loadgen.plan import INFER_PATH
from lab_utils.runs import Run
from lab_utils.validity import ks_distance
from lab_utils.workload import fire, fire_closed
from tests.bench.peers import LOADGEN, LOCUST, PeerMissing, find_wrk, run_autocannon, run_python
from tests.bench.rows import Row, at_least, at_most, close_to
from tests.bench.target import serving
from tests.tools.workers import running

ROUNDS = 3
WRK_ROUNDS = 9
USERS = 32
KS_ROUNDS, KS_SECONDS = 9, 4.0
# autocannon sends its hundred in a burst at each full second: the freeze begins just before one.
FREEZE_AT_S, FREEZE_S = 4.97, 1.0
BODY = (
    '{"id":"0","inputs":[{"name":"input","shape":[1],"datatype":"FP32","data":[1.0]}],'
    '"parameters":{"index":0,"attempt":1}}'
)
WRK_SCRIPT = f"""
wrk.method = "POST"
wrk.body = '{BODY}'
wrk.headers["Content-Type"] = "application/json"
"""


def bench() -> Iterator[Row]:
    """Give all figures; a part whose peer is missing gives a row that says so."""
    for part in (bench_cost, bench_schedule, bench_freeze, bench_latency):
        try:
            yield from part()
        except PeerMissing as exc:
            yield Row(f"{part.__name__}: {exc} is missing", (math.nan,), "", "be there", False)


def bench_cost() -> Iterator[Row]:
    """CPU per request and requests per second of one core, beside Locust's FastHttpUser."""
    cpu, rate = [], []
    for _ in range(ROUNDS):
        with serving() as url:
            run = fire_closed(url, count=40_000, users=USERS, progress=False)
            peer = run_python("locust_users.py", LOCUST, url + INFER_PATH, BODY, USERS, 1.0, 4.0)
        assert run.requests["ok"].all()
        assert not peer["failed"]
        cpu.append(cpu_s(run) / (peer["cpu_s"] / peer["requests"]))
        rate.append(throughput_rps(run) / (peer["requests"] / peer["wall_s"]))
    yield at_most("client CPU per request / Locust's", cpu, "", 0.5)
    yield at_least("requests/s of one core / Locust's", rate, "", 1.5)


def cpu_s(run: Run) -> float:
    """Give the CPU of the client per request."""
    return float(run.settings["client"]["cpu_s"]) / len(run.requests)


def throughput_rps(run: Run) -> float:
    return len(run.requests) / float(run.requests["done_s"].max() - run.requests["sent_s"].min())


def bench_schedule() -> Iterator[Row]:
    """Distance of the gaps from the exponential beside MLPerf LoadGen's, and lateness."""
    late_ms = []
    for rate_rps in (200, 500, 1000):
        ours, theirs = [], []
        for seed in range(1, KS_ROUNDS + 1):
            run = fire_poisson(rate_rps, seed)
            ours.append(ks_distance(np.diff(np.sort(run.requests["sent_s"])) * rate_rps))
            peer = run_python("loadgen_server.py", LOADGEN, rate_rps, KS_SECONDS, seed)
            theirs.append(ks_distance(np.diff(peer["times_s"]) * rate_rps))
            if rate_rps == 500:
                late_ms.append(run.validity.figures["lateness_p99_s"] * 1e3)
        # Chance alone moves the distance of one run by a third: the means are compared.
        ratio = statistics.mean(ours) / statistics.mean(theirs)
        yield at_most(f"KS distance of gaps / LoadGen's at {rate_rps}/s", ratio, "", 1.2)
    yield at_most("lateness p99 at 500/s", late_ms, "ms", 1.0)


def fire_poisson(rate_rps: float, seed: int) -> Run:
    with serving() as url:
        return fire(
            url,
            rate_rps=rate_rps,
            duration_s=KS_SECONDS,
            seed=seed,
            keep_alive=True,
            progress=False,
        )


def bench_freeze() -> Iterator[Row]:
    """A server that stands still for 1 s in 10: what p99 says of it."""
    ratio, hidden = [], []
    for _ in range(ROUNDS):
        with serving(FREEZE_AT_S, FREEZE_S) as url:
            run = fire(
                url,
                rate_rps=100,
                duration_s=10,
                arrivals="constant",
                keep_alive=True,
                progress=False,
            )
        with serving(FREEZE_AT_S, FREEZE_S) as url:
            peer = ask_with_autocannon(url)
        with serving(FREEZE_AT_S, FREEZE_S) as url:
            closed = fire_closed(url, count=1000, users=4, think_s=0.04, progress=False)
        ratio.append(p99_s(run) / (peer["latency"]["p99"] / 1e3))
        hidden.append(p99_s(run) / p99_s(closed))
    yield close_to("p99 over a freeze / autocannon's", ratio, "", 1.0, share=0.1)
    yield at_least("p99 over a freeze / a closed loop's", hidden, "", 50.0)


def ask_with_autocannon(url: str) -> dict[str, Any]:
    headers = ("-H", "Content-Type: application/json")
    load = ("-R", "100", "-d", "10", "-c", "10")
    return run_autocannon("-m", "POST", "-b", BODY, *headers, *load, url + INFER_PATH)


def p99_s(run: Run) -> float:
    return float(run.requests["latency_s"].quantile(0.99))


def bench_latency() -> Iterator[Row]:
    """One request at a time on one connection of the same worker, beside wrk."""
    wrk, apart_ms = find_wrk(), []
    with running(WORKER_SERVICE_MS=5) as worker:
        worker.wait_until(lambda: worker.get("/v2/health/ready")[0] == 200)
        url = f"http://127.0.0.1:{worker.port}"
        for _ in range(WRK_ROUNDS):
            run = fire_closed(url, count=150, progress=False)
            ours_s = (run.requests["done_s"] - run.requests["sent_s"]).median()
            apart_ms.append(ours_s * 1e3 - ask_with_wrk(wrk, url))
    yield close_to("p50 one at a time, less wrk's", apart_ms, "ms", 0.0, share=0.0, slack=0.1)


def ask_with_wrk(wrk: str, url: str) -> float:
    """Give wrk's p50 in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "infer.lua"
        script.write_text(WRK_SCRIPT)
        load = ["-t1", "-c1", "-d1s", "--latency", "-s", str(script), url + INFER_PATH]
        text = subprocess.check_output([wrk, *load], text=True)
    found = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    assert found, text
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]
