"""The embedded cluster's times beside those of a real one: throttling, start-up, failures.

What the worker itself costs is not the cluster's: a start-up is compared as multiples of the CPU
time it took, and a restart without the start-up in it. The reference is `tests/reference/timings`.
"""

import http.client
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from lab_utils.conditions import is_ready
from lab_utils.controlplane.processes import marked
from lab_utils.session import Lab
from lab_utils.settings import load_settings, project_root
from lab_utils.waiting import wait_for
from tests.bench.rows import Row, close_to
from tests.tools.workers import INFER

RECORDED = project_root() / "tests" / "reference" / "timings" / "timings.json"
REFERENCE = json.loads(RECORDED.read_text())["summary"]
OUTAGES = {"pause": 49.8, "unpause": 10.2, "stop": 46.3, "start": 2.7}
"""Seconds from the power switch to the Node's new Ready condition, from the recorded histories."""
BURNS = {5: 100, 15: 80, 25: 60, 50: 60}
"""CPU time of a request in ms -> requests, as recorded."""
GONE_S = 1.84
"""From DELETE to the pod's removal where its process ends at once, from failure-windows.json."""
STARTS, CYCLES = 5, 5
LIMIT_CORES = 0.1
PODS = "/api/v1/namespaces/default/pods"
Look = Callable[[], bool]


def bench() -> Iterator[Row]:
    """Take the recorded steps once more, on the embedded cluster."""
    lab = Lab(load_settings(backend="embedded", cluster="bench"))
    lab.down()
    try:
        lab.ensure()
        pause = random.Random(1)
        starts = [start_up(lab, f"start-{i}") for i in range(STARTS)]
        factor = REFERENCE["start-up, limit 100m: process started -> first_answer, s"]["median"]
        factor /= REFERENCE["start-up, limit 100m: CPU ms used until the first answer"]["median"]
        seen = [taken_s * LIMIT_CORES / cpu_s for taken_s, cpu_s in starts]
        name = "start-up at 100m / (CPU time / limit)"
        yield close_to(name, seen, "x", factor * 1000 * LIMIT_CORES, share=0.15)
        yield from staircase(lab)
        yield from cycles(lab, statistics.median(cpu_s for _, cpu_s in starts), pause)
        yield from outages(lab)
    finally:
        lab.down()


def reference(name: str) -> float:
    return float(REFERENCE[name].get("median") or REFERENCE[name]["p50"])


def window(name: str, seen: list[float], recorded_s: float) -> Row:
    return close_to(name, seen, "s", recorded_s, share=0.2, slack=0.5)


def until(look: Look, timeout_s: float = 120.0) -> float:
    """Wait until something is so; give when that was."""
    wait_for(
        lambda: look() or None, timeout_s=timeout_s, late=lambda: TimeoutError(), period_s=0.02
    )
    return time.monotonic()


def create(lab: Lab, name: str, **env: str) -> None:
    """Start a bare worker on lab's first worker node under the lab's limit."""
    variables: list[dict[str, Any]] = [{"name": k, "value": v} for k, v in env.items()]
    variables += [
        {"name": "POD_NAME", "value": name},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    container = {
        "name": "worker",
        "image": "inference-worker:1",
        "imagePullPolicy": "Never",
        "env": variables,
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
    }
    body = {"metadata": {"name": name}, "spec": {"containers": [container]}}
    lab.cluster.api.request("Bench", "POST", PODS, body=body)


def get(lab: Lab, path: str) -> Any:
    return json.loads(lab.cluster.api.request("Bench", "GET", path))


def remove(lab: Lab, name: str) -> None:
    query = [("gracePeriodSeconds", "0")]
    lab.cluster.api.request("Bench", "DELETE", f"{PODS}/{name}", query=query)


def answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, 8000, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def start_up(lab: Lab, name: str) -> tuple[float, float]:
    """Give wall and CPU time from the start of a worker's process to its first answer."""
    create(lab, name)
    until(lambda: bool(list(marked("POD_NAME", name))))
    (pid,) = marked("POD_NAME", name)
    until(lambda: "podIP" in get(lab, f"{PODS}/{name}")["status"])
    address = get(lab, f"{PODS}/{name}")["status"]["podIP"]
    until(lambda: answers(address))
    taken_s = time.time() - psutil.Process(pid).create_time()
    cpu_s = time.clock_gettime((~pid << 3) | 2)
    remove(lab, name)
    return taken_s, cpu_s


def staircase(lab: Lab) -> Iterator[Row]:
    """Burn CPU time in sequential requests with a think time of up to 200 ms."""
    create(lab, "burns", WORKER_MODE="burn")
    until(lambda: "podIP" in get(lab, f"{PODS}/burns")["status"])
    address = get(lab, f"{PODS}/burns")["status"]["podIP"]
    until(lambda: answers(address))
    pause = random.Random(1)
    connection = http.client.HTTPConnection(address, 8000)
    for service_ms, count in BURNS.items():
        tensor = {"name": "input", "shape": [1], "datatype": "FP32", "data": [1.0]}
        body = json.dumps({"inputs": [tensor], "parameters": {"service_ms": service_ms}})
        taken_ms = []
        for _ in range(count):
            time.sleep(pause.uniform(0, 0.2))
            started_s = time.perf_counter()
            connection.request("POST", INFER, body, {"Content-Type": "application/json"})
            connection.getresponse().read()
            taken_ms.append((time.perf_counter() - started_s) * 1000)
        recorded = reference(f"burn {service_ms} ms at limit 100m: latency ms")
        seen = statistics.median(taken_ms)
        yield close_to(f"p50 of {service_ms} CPU-ms at 100m", seen, "ms", recorded, share=0.15)
    connection.close()
    remove(lab, "burns")


def primary(lab: Lab) -> Any:
    return next(pod for pod in lab.pods("role=primary") if is_ready(pod))


def in_service(lab: Lab, uid: str) -> bool:
    """Tell whether a pod is a ready endpoint of the Service `inference`."""
    path = "/apis/discovery.k8s.io/v1/namespaces/lab/endpointslices"
    return any(
        endpoint["conditions"]["ready"] and endpoint["targetRef"]["uid"] == uid
        for piece in get(lab, path)["items"]
        for endpoint in piece.get("endpoints") or ()
    )


def cycles(lab: Lab, cpu_s: float, pause: random.Random) -> Iterator[Row]:
    """Kill a worker and delete its pod, in turns; cpu_s is what a start-up costs."""
    seen: dict[str, list[float]] = {"out": [], "again": [], "ready": [], "gone": []}
    for _ in range(CYCLES):
        name, uid = (primary(lab)["metadata"][key] for key in ("name", "uid"))
        path = f"/api/v1/namespaces/lab/pods/{name}"
        restarts = get(lab, path)["status"]["containerStatuses"][0]["restartCount"]
        time.sleep(pause.uniform(0, 1))  # the kubelet looks once a second
        began_s = time.monotonic()
        lab.backend.signal_container("lab", name, "worker", "KILL")
        seen["out"].append(until(lambda uid=uid: not in_service(lab, uid)) - began_s)

        def runs(path: str = path, restarts: int = restarts) -> bool:
            status = get(lab, path)["status"]["containerStatuses"][0]
            return bool(status["restartCount"] > restarts and "running" in status["state"])

        seen["again"].append(until(runs) - began_s)
        seen["ready"].append(until(lambda path=path: is_ready(get(lab, path))) - began_s)
        began_s = time.monotonic()
        lab.delete("pod", name)
        alive = lambda uid=uid: any(p["metadata"]["uid"] == uid for p in lab.pods())  # noqa: E731
        seen["gone"].append(until(lambda alive=alive: not alive()) - began_s)
        lab.wait()
    for name, key in (
        ("kill -9 -> endpoint not ready", "out"),
        ("kill -9 -> container running again", "again"),
    ):
        yield window(name, seen[key], reference(f"{name}, s"))
    own_s = reference("start-up, limit 100m: CPU ms used until the first answer") / 1000
    yield window(
        "kill -9 -> Ready, beyond CPU time / limit",
        [taken_s - cpu_s / LIMIT_CORES for taken_s in seen["ready"]],
        reference("crash-to-ready (kill -9 -> Ready), s") - own_s / LIMIT_CORES,
    )
    yield window("DELETE -> pod gone", seen["gone"], GONE_S)


def outages(lab: Lab) -> Iterator[Row]:
    """Pause and stop a node until it is noticed, and bring it back."""
    node = primary(lab)["spec"]["nodeName"]

    def condition() -> str:
        found = get(lab, f"/api/v1/nodes/{node}")["status"]["conditions"]
        return str(next(one["status"] for one in found if one["type"] == "Ready"))

    backend = lab.backend
    for fault, breaks, cure, mends in (
        ("pause", backend.pause_node, "unpause", backend.unpause_node),
        ("stop", backend.stop_node, "start", backend.start_node),
    ):
        began_s = time.monotonic()
        breaks(node)
        unknown_s = until(lambda: condition() == "Unknown") - began_s
        began_s = time.monotonic()
        mends(node)
        ready_s = until(lambda: condition() == "True") - began_s
        name = f"{fault} a node -> Ready=Unknown"
        yield window(name, [unknown_s], OUTAGES[fault])
        yield window(f"{cure} it -> Ready", [ready_s], OUTAGES[cure])
