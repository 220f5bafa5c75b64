"""Measure what the lab promises about its own speed; print goals beside figures, write JSON.

Never part of `make test`: a figure on a busy machine is not a failure.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from lab_utils.cluster import is_ready
from lab_utils.session import Lab
from lab_utils.settings import load_settings, project_root
from lab_utils.theory import startup_s
from lab_utils.usage import parse_metrics
from lab_utils.waiting import wait_for

ROUNDS = 3
LIMIT_CORES = 0.1


@dataclass(frozen=True)
class Figure:
    """One measured figure beside its goal; both in the unit that the name ends with."""

    name: str
    goal: float
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        verdict = "ok" if self.median <= self.goal else "MISSED"
        rounds = ", ".join(f"{value:.2f}" for value in self.rounds)
        return f"{self.name:44} {self.median:8.2f}  goal {self.goal:8.2f}  {verdict:6} ({rounds})"


def timed(work: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s


def measure_round(lab: Lab) -> dict[str, float]:
    """Start a cluster, deploy, and read from each worker what its start has cost."""
    lab.down()
    figures = {"cluster up, nodes Ready (s)": timed(lab.up)}
    figures["image build and load (s)"] = timed(lambda: (lab.build_image(), lab.load_image()))
    figures["apply manifests (s)"] = timed(lab.apply)
    started_s = time.perf_counter()
    pods = wait_for(lambda: ready_pods(lab), timeout_s=60, late=lambda: TimeoutError("not Ready"))
    figures["pods Ready after apply (s)"] = time.perf_counter() - started_s
    names = [pod["metadata"]["name"] for pod in pods]
    cpu_s = max(startup_cpu_s(lab, name) for name in names)
    figures["start-up CPU (CPU-s)"] = cpu_s
    figures["Ready later than CPU / limit (s)"] = figures["pods Ready after apply (s)"] - startup_s(
        cpu_s, LIMIT_CORES
    )
    figures["ensure() with nothing to do (s)"] = timed(lab.ensure)
    return figures


def ready_pods(lab: Lab) -> list[dict[str, object]] | None:
    pods = lab.pods()
    return pods if len(pods) == 2 and all(map(is_ready, pods)) else None


def startup_cpu_s(lab: Lab, pod: str) -> float:
    metrics = parse_metrics(lab.cluster.proxy_pod(pod, 8000, "/metrics"))
    return metrics["process_cpu_seconds_total"]


GOALS = {
    "cluster up, nodes Ready (s)": 4.0,
    "image build and load (s)": 2.0,
    "apply manifests (s)": 0.5,
    "pods Ready after apply (s)": 9.0,
    "start-up CPU (CPU-s)": 0.6,
    "Ready later than CPU / limit (s)": 3.0,
    "ensure() with nothing to do (s)": 2.0,
}


def main() -> None:
    lab = Lab(load_settings(backend="embedded", cluster="bench"))
    try:
        rounds = [measure_round(lab) for _ in range(ROUNDS)]
    finally:
        lab.down()
    figures = [Figure(name, goal, tuple(r[name] for r in rounds)) for name, goal in GOALS.items()]
    for figure in figures:
        print(figure)
    target = project_root() / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    print(f"written to {Path(target).relative_to(project_root())}")


if __name__ == "__main__":
    main()
