"""The metrics server: two readings make a figure, one does not."""

from datetime import UTC, datetime, timedelta

import pytest

from lab_utils.controlplane.metrics import MetricsServer
from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Store
from lab_utils.controlplane.timestamps import go_duration

START = datetime(2026, 11, 23, 15, tzinfo=UTC)


def text(cpu_s: float, memory: int, age_s: float, *, containers: tuple[str, ...] = ("c",)) -> str:
    """Write /metrics/resource of a node with one pod, so old."""
    at = int((START + timedelta(seconds=age_s)).timestamp() * 1000)
    lines = [f"node_cpu_usage_seconds_total {cpu_s * 2} {at}"]
    lines.append(f"node_memory_working_set_bytes {memory * 2} {at}")
    for name in containers:
        labels = f'{{container="{name}",namespace="lab",pod="web"}}'
        lines.append(f"container_cpu_usage_seconds_total{labels} {cpu_s} {at}")
        lines.append(f"container_memory_working_set_bytes{labels} {memory:.15g} {at}")
        lines.append(f"container_start_time_seconds{labels} {START.timestamp()}")
    return "\n".join(["# TYPE node_cpu_usage_seconds_total counter", *lines, ""])


def make_pod(*containers: str) -> Object:
    running = [{"name": name, "state": {"running": {}}} for name in containers]
    metadata = {"name": "web", "namespace": "lab", "labels": {"app": "web"}, "uid": "1"}
    spec = {"nodeName": "w1", "containers": [{"name": name} for name in containers]}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"containerStatuses": running},
    }


async def measured(*texts: str | Exception, containers: tuple[str, ...] = ("c",)) -> MetricsServer:
    """Give a metrics server that has read these texts of node w1, one after the other."""
    store, left = Store(), list(texts)
    store.put("Node", {"kind": "Node", "metadata": {"name": "w1", "uid": "2"}})
    store.put("Pod", make_pod(*containers))

    async def fetch(_node: str, _path: str) -> str:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    server = MetricsServer(Registry(store, lambda: START), fetch, 15.0)
    for _ in texts:
        await server.measure()
    return server


async def test_one_reading_is_no_figure() -> None:
    server = await measured(text(1.0, 2**25, 20))
    assert (server.of_pod("lab", "web"), await server.objects("NodeMetrics")) == (None, [])


async def test_cpu_is_the_mean_between_two_readings_and_memory_the_last() -> None:
    server = await measured(text(1.0, 2**24, 20), text(1.75, 2**25, 35.062))
    assert server.of_pod("lab", "web") == {
        "metadata": {
            "name": "web",
            "namespace": "lab",
            "labels": {"app": "web"},
            "creationTimestamp": "2026-11-23T15:00:00Z",
        },
        "timestamp": "2026-11-23T15:00:35Z",
        "window": "15.062s",
        "containers": [{"name": "c", "usage": {"cpu": "49794184n", "memory": "32Mi"}}],
    }
    (node,) = await server.objects("NodeMetrics")
    assert node["usage"] == {"cpu": "99588368n", "memory": "64Mi"}


async def test_a_reading_told_twice_changes_nothing() -> None:
    readings = text(1.0, 2**24, 20), text(2.0, 2**24, 30)
    once, twice = await measured(*readings), await measured(*readings, readings[-1])
    assert once.of_pod("lab", "web") == twice.of_pod("lab", "web")


@pytest.mark.parametrize(("age_s", "known"), [(9.0, False), (12.0, True), (16.0, False)])
async def test_a_fresh_container_is_measured_from_its_start(age_s: float, known: bool) -> None:
    server = await measured(text(1.0, 2**24, age_s))
    assert (server.of_pod("lab", "web") is not None) is known


async def test_a_node_that_does_not_answer_has_no_metrics() -> None:
    server = await measured(text(1.0, 2**24, 20), text(2.0, 2**24, 35), TimeoutError())
    assert await server.objects("PodMetrics") == []


async def test_a_pod_is_measured_when_all_its_containers_are() -> None:
    both = ("a", "b")
    later = text(2.0, 2**24, 35, containers=both)
    half = await measured(text(1.0, 2**24, 20, containers=("a",)), later, containers=both)
    assert half.of_pod("lab", "web") is None
    whole = await measured(text(1.0, 2**24, 20, containers=both), later, containers=both)
    assert [one["name"] for one in (whole.of_pod("lab", "web") or {})["containers"]] == ["a", "b"]


@pytest.mark.parametrize("nonsense", ["", "node_cpu_usage_seconds_total x 1", "<html>"])
async def test_a_kubelet_that_talks_nonsense_is_passed_over(nonsense: str) -> None:
    server = await measured(nonsense)
    assert await server.objects("NodeMetrics") == []


@pytest.mark.parametrize(
    ("duration_s", "written"),
    [(0, "0s"), (15.0621, "15.062s"), (60.5, "1m0.5s"), (3600, "1h0m0s")],
)
def test_durations_are_written_as_go_does(duration_s: float, written: str) -> None:
    assert go_duration(duration_s) == written
