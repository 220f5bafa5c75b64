"""The worker's budgets: CPU to ready, CPU per request beside a bare FastAPI handler, memory.

Ratios are paired: worker and bare handler take turns in one run, so that a busy machine slows both.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.bench.rows import Row, at_most
from tests.tools.workers import BODY, INFER, Client, Worker, running

REQUESTS = 20_000
ROUNDS = 5
CHUNK = 1_000
MIB = 2**20

BARE = """
import asyncio
from typing import Any
import uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/v2/models/clock/infer")
async def infer(body: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0.001)
    return {"model_name": "clock", "outputs": body["inputs"]}
uvicorn.run(app, port=0, http="httptools", loop="asyncio", ws="none", access_log=False)
"""
"""What one would write first: no queue, no checks, no metrics, nothing said about the request."""

TEXT = {"model": "clock", "prompt": "one two three", "max_tokens": 4}
MODES: dict[str, tuple[dict[str, object], tuple[str, Any]]] = {
    "sleep": ({}, (INFER, BODY)),
    "burn": ({"WORKER_MODE": "burn"}, (INFER, BODY)),
    "batching": ({"WORKER_BATCH_MAX": 8, "WORKER_SLOTS": 2}, (INFER, BODY)),
    "text": ({"WORKER_PREFILL_MS": 0, "WORKER_TOKEN_MS": 0}, ("/v1/completions", TEXT)),
    "stream": (
        {"WORKER_PREFILL_MS": 0, "WORKER_TOKEN_MS": 0},
        ("/v1/completions", TEXT | {"stream": True}),
    ),
    "control": ({"WORKER_CONTROL": 1, "WORKER_CONTROL_PORT": 0}, (INFER, BODY)),
}


@contextmanager
def bare() -> Iterator[Worker]:
    """Start the bare handler."""
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "running on http" in line:
                    port = int(line.split("(")[0].rstrip().rpartition(":")[2])
                    yield Worker(process, port)
                    return
        finally:
            process.kill()


def cpu_s(worker: Worker) -> float:
    """Read the scheduler's own account: ps counts in hundredths of a second."""
    schedstat = Path(f"/proc/{worker.process.pid}/schedstat").read_text()
    return int(schedstat.split()[0]) / 1e9


def resident_mib(worker: Worker) -> float:
    return float(psutil.Process(worker.process.pid).memory_info().rss / MIB)


def ask(worker: Worker, path: str, body: Any, count: int) -> None:
    """Ask on one kept connection, one request after the other."""
    payload = json.dumps(body).encode()
    with closing(Client(worker.port)) as client:
        for _ in range(count):
            client.send("POST", path, payload)
            answer = client.answer()
            assert answer.status == 200, answer


def per_request_s(worker: Worker) -> float:
    before_s = cpu_s(worker)
    ask(worker, INFER, BODY, CHUNK)
    return (cpu_s(worker) - before_s) / CHUNK


def measure_ratio() -> list[float]:
    """Take turns and give the ratio of CPU per request of each turn."""
    with bare() as plain, running(WORKER_SERVICE_MS=1) as worker:
        for one in (plain, worker):
            ask(one, INFER, BODY, CHUNK)
        return [per_request_s(worker) / per_request_s(plain) for _ in range(ROUNDS)]


def measure_start_s() -> list[float]:
    """Give the CPU that a worker has used when it is ready."""
    starts_s = []
    for _ in range(ROUNDS):
        with running() as worker:
            worker.wait_until(lambda: worker.get("/v2/health/ready")[0] == 200)
            starts_s.append(cpu_s(worker))
    return starts_s


def measure_memory(mode: str, requests: int) -> tuple[float, float]:
    """Give the resident memory after all requests, and its growth after the first quarter."""
    environ, (path, body) = MODES[mode]
    with running(WORKER_SERVICE_MS=0, **environ) as worker:
        ask(worker, path, body, requests // 4)
        early_mib = resident_mib(worker)
        ask(worker, path, body, requests - requests // 4)
        worker.get("/v2/health/ready")
        return resident_mib(worker), resident_mib(worker) - early_mib


def bench() -> Iterator[Row]:
    """Measure each budget."""
    yield at_most("CPU to ready", measure_start_s(), "CPU-s", 0.6)
    yield at_most("CPU per request beside a bare handler", measure_ratio(), "x", 1.3)
    for mode in MODES:
        resident, growth = measure_memory(mode, REQUESTS)
        yield at_most(f"resident memory, {mode}", resident, "MiB", 48.0)
        yield at_most(f"growth after the first quarter, {mode}", growth, "MiB", 0.5)
