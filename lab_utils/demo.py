"""The main job: a cluster, a worker, load, a crash, a take-over, and the report about it.

Runs on a cluster of its own and ends it, so that a learner's cluster is neither used nor harmed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_utils.analysis import summarize
from lab_utils.report import write_report
from lab_utils.runs import Run
from lab_utils.session import Lab
from lab_utils.settings import load_settings

RATE_RPS = 20.0
DURATION_S = 40.0
KILL_AT_S = 12.0


@dataclass(frozen=True)
class Demo:
    """What the demo found: the figures for programs and for people."""

    summary: dict[str, Any]
    findings: list[str]


def run_demo(folder: Path, *, backend: str, say: Callable[[str], None]) -> Demo:
    """Run the main job and write its report.

    Args:
        folder: Where to write: index.html, PNG, CSV, summary.json.
        backend: "embedded" or "kind".
        say: Told a line per step, with its time.

    Returns:
        The figures and the findings.

    Raises:
        LabError: A step failed; nothing is left running.
    """
    lab = Lab(load_settings(backend=backend, cluster="demo"))
    step = _Steps(say)
    started_s = time.monotonic()
    lab.down()
    try:
        with step(f"Start a cluster ({backend})"):
            lab.up()
        with step("Build the worker's image"):
            lab.build_image()
        with step("Load it into every node"):
            lab.load_image()
        with step("Apply manifests/"):
            lab.apply()
        with step("Wait until the pods are Ready (start-up CPU / limit)"):
            lab.wait()
        with step(f"Fire {RATE_RPS:g}/s for {DURATION_S:g} s, kill the primary at {KILL_AT_S:g} s"):
            kill = lab.faults.kill("primary", at_s=KILL_AT_S)
            run = lab.fire(rate_rps=RATE_RPS, duration_s=DURATION_S, faults=[kill])
        if run.interrupted:
            raise KeyboardInterrupt
        fidelity = lab.fidelity()
    finally:
        with step("End the cluster"):
            lab.down()
    summary = summarize(run) | {"wall_s": round(time.monotonic() - started_s, 1)}
    with step(f"Write {folder}/"):
        findings = _findings(summary, run)
        write_report(
            run,
            folder,
            title="A failover, measured",
            findings=findings,
            summary=summary,
            fidelity=fidelity,
        )
    return Demo(summary, [*findings, f"Report: {folder / 'index.html'}"])


def _findings(summary: dict[str, Any], run: Run) -> list[str]:
    """Say in nine lines what happened; every number is one of the run's tables."""
    cpu, memory = summary["cpu_mean_cores"], summary["memory_peak_mib"]
    throttled = summary["throttled_share"]
    last = run.usage[run.usage["role"] == "primary"].iloc[-1]
    back = "was back" if last["ready"] else "was not back"
    return [
        f"Load: {summary['requests']} requests, Poisson at {RATE_RPS:g}/s, seed {summary['seed']}.",
        f"Answered: {summary['ok']}; lost: {summary['lost']}.",
        f"Latency: p50 {summary['p50_ms']:.0f} ms, p95 {summary['p95_ms']:.0f} ms, "
        f"p99 {summary['p99_ms']:.0f} ms (from the scheduled time).",
        f"Shares: primary {summary['share_primary']:.0%}, backup {summary['share_backup']:.0%}.",
        f"The primary was killed at {KILL_AT_S:g} s; requests failed for "
        f"{summary['outage_s']:.2f} s, then the backup served them all.",
        f"The primary {back} at the end of the run, restarted {last['restarts']:g} time.",
        *(
            f"{role.capitalize()}: {cpu[role]:.3f} cores of 0.1 on average, at most "
            f"{memory[role]:.0f} MiB of 64, throttled in {throttled[role]:.0%} of its periods."
            for role in ("primary", "backup")
        ),
        f"All in {summary['wall_s']:.0f} s on {summary['backend']}.",
    ]


class _Steps:
    """Says each step when it begins and how long it took when it has ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        started_s = time.monotonic()
        self._say(f"... {what}")
        yield
        self._say(f"    {time.monotonic() - started_s:5.1f} s")
