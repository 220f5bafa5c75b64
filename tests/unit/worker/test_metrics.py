import asyncio
import time

import pytest

from worker.device import Accelerator
from worker.engine import Engine
from worker.jobs import Times
from worker.metrics import CpuQuota, Memory, Metrics
from worker.settings import Settings
from worker.startup import Startup, measure
from worker.timeline import Timeline

V2 = "usage_usec 900\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n"
V1 = "nr_periods 10\nnr_throttled 4\nthrottled_time 250000000\n"


def quota(root) -> dict[str, float]:
    return {
        sample.name: sample.value
        for metric in CpuQuota(root).collect()
        for sample in metric.samples
    }


@pytest.mark.parametrize(("file", "text"), [("cpu.stat", V2), ("cpu/cpu.stat", V1)])
def test_throttling_is_read_from_either_version_of_cgroups(tmp_path, file, text):
    (tmp_path / "cpu").mkdir()
    (tmp_path / file).write_text(text)
    assert quota(tmp_path) == {
        "lab_cpu_periods_total": 10,
        "lab_cpu_throttled_periods_total": 4,
        "lab_cpu_throttled_seconds_total": 0.25,
    }


@pytest.mark.parametrize("text", [None, "", "usage_usec 900\n"], ids=["missing", "empty", "root"])
def test_without_counters_there_are_no_series_rather_than_zeros(tmp_path, text):
    if text is not None:
        (tmp_path / "cpu.stat").write_text(text)
    assert quota(tmp_path) == {}


def memory(root) -> list[float]:
    return [sample.value for metric in Memory(root).collect() for sample in metric.samples]


@pytest.mark.parametrize(
    ("charged", "stat", "droppable"),
    [
        ("memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ],
    ids=["v2", "v1"],
)
def test_memory_is_what_counts_against_the_limit(tmp_path, charged, stat, droppable):
    assert memory(tmp_path) == []
    (tmp_path / "memory").mkdir()
    (tmp_path / charged).write_text("5000\n")
    assert memory(tmp_path) == [5000]
    (tmp_path / stat).write_text(f"anon 1\n{droppable} 2000\n")
    assert memory(tmp_path) == [3000]


def test_a_start_is_measured_from_the_first_instant_of_the_process():
    first, second = measure(), measure()
    assert 0 < first.cpu_s <= second.cpu_s
    assert time.process_time() - 0.1 < first.cpu_s < first.wall_s + 0.02  # ticks of 10 ms
    assert first.wall_s <= second.wall_s


async def test_a_start_is_told_once_the_worker_listens():
    metrics = make_metrics()
    assert "lab_start_seconds" not in metrics.render().decode()
    metrics = make_metrics(startup=Startup(wall_s=3.5, cpu_s=0.35))
    text = metrics.render().decode()
    assert "lab_start_seconds 3.5" in text
    assert "lab_start_cpu_seconds 0.35" in text


def make_metrics(startup: Startup | None = None, **settings) -> Metrics:
    timeline = Timeline(asyncio.get_running_loop())
    engine = Engine(Settings(**settings), timeline, Accelerator(timeline))
    return Metrics(engine, Settings(**settings), lambda: startup)


async def test_times_are_told_by_phase_in_buckets_around_the_mean():
    metrics = make_metrics(service_ms=20)
    metrics.observe(Times(queue_s=0.03, service_s=0.02, batch_size=3), total_s=0.06)
    metrics.count(200)
    text = metrics.render().decode()
    for line in (
        'lab_request_seconds_bucket{le="0.02",phase="queue"} 0.0',
        'lab_request_seconds_sum{phase="total"} 0.06',
        'lab_request_seconds_count{phase="service"} 1.0',
        'lab_batch_size_bucket{le="4.0"} 1.0',
        'lab_requests_total{code="200"} 1.0',
        "lab_requests_in_flight 0.0",
        "lab_queue_depth 0.0",
    ):
        assert line in text


async def test_the_buckets_of_a_trace_are_around_its_mean(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("service_ms\n5\n15\n")
    text = make_metrics(distribution="trace", trace=str(trace)).render().decode()
    assert 'lab_request_seconds_bucket{le="0.01",phase="service"} 0.0' in text


async def test_dashboards_find_the_names_they_know():
    metrics = make_metrics(model="clock")
    metrics.observe(Times(queue_s=0.25, service_s=0.5, batch_size=1), total_s=0.8)
    metrics.count(200)
    metrics.count(503)
    text = metrics.render().decode()
    for line in (
        'vllm:num_requests_running{model_name="clock"} 0.0',
        'vllm:num_requests_waiting{model_name="clock"} 0.0',
        'nv_inference_request_success{model="clock",version="1"} 1.0',
        'nv_inference_request_failure{model="clock",version="1"} 1.0',
        'nv_inference_queue_duration_us{model="clock",version="1"} 250000.0',
        'nv_inference_compute_infer_duration_us{model="clock",version="1"} 500000.0',
    ):
        assert line in text
