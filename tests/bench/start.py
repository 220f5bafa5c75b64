"""From nothing to two Ready pods: what a learner waits for."""

from collections.abc import Iterator

from lab_utils.conditions import is_ready
from lab_utils.session import Lab
from lab_utils.settings import load_settings
from lab_utils.theory import startup_s
from lab_utils.usage import parse_metrics
from lab_utils.waiting import wait_for
from tests.bench.rows import Row, at_most, timed

ROUNDS = 3
LIMIT_CORES = 0.1
GOALS = {
    "cluster up, nodes Ready": 4.0,
    "image build and load": 2.0,
    "apply manifests": 0.5,
    "pods Ready after apply": 9.0,
    "CPU of a worker's start-up": 0.6,
    "Ready later than CPU / limit": 3.0,
    "ensure() with nothing to do": 2.0,
}


def bench() -> Iterator[Row]:
    """Start a cluster anew, three times."""
    lab = Lab(load_settings(backend="embedded", cluster="bench"))
    try:
        rounds = [measure_round(lab) for _ in range(ROUNDS)]
    finally:
        lab.down()
    for name, goal in GOALS.items():
        yield at_most(name, [figures[name] for figures in rounds], "s", goal)


def measure_round(lab: Lab) -> dict[str, float]:
    """Start a cluster, deploy, and read from each worker what its start has cost."""
    lab.down()
    figures = {"cluster up, nodes Ready": timed(lab.up)}
    figures["image build and load"] = timed(lambda: (lab.build_image(), lab.load_image()))
    figures["apply manifests"] = timed(lab.apply)
    figures["pods Ready after apply"] = timed(lambda: wait_ready(lab))
    cpu_s = max(startup_cpu_s(lab, pod["metadata"]["name"]) for pod in lab.pods())
    figures["CPU of a worker's start-up"] = cpu_s
    figures["Ready later than CPU / limit"] = figures["pods Ready after apply"] - startup_s(
        cpu_s, LIMIT_CORES
    )
    figures["ensure() with nothing to do"] = timed(lab.ensure)
    return figures


def wait_ready(lab: Lab) -> None:
    """Wait until both pods are Ready."""

    def look() -> bool | None:
        pods = lab.pods()
        return (len(pods) == 2 and all(map(is_ready, pods))) or None

    wait_for(look, timeout_s=60, late=lambda: TimeoutError("not Ready"))


def startup_cpu_s(lab: Lab, pod: str) -> float:
    metrics = parse_metrics(lab.cluster.proxy_pod(pod, 8000, "/metrics"))
    return metrics["process_cpu_seconds_total"]
