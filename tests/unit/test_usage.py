"""Counters become rates, gaps stay gaps, Events come onto the run's clock."""

import time
from datetime import UTC, datetime

import pytest

from lab_utils.clock import Clock
from lab_utils.errors import ClusterError
from lab_utils.usage import Sample, Sampler, parse_metrics, tabulate_events, tabulate_usage

CLOCK = Clock(start_ns=10_000_000_000, start_unix_s=1_800_000_000.0)
METRICS = """# HELP process_cpu_seconds_total Total user and system CPU time.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {cpu}
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4.2e+07
# TYPE lab_cpu_periods_total counter
lab_cpu_periods_total 100.0
# TYPE lab_cpu_throttled_periods_total counter
lab_cpu_throttled_periods_total 25.0
# TYPE lab_request_seconds histogram
lab_request_seconds_count{{phase="queue"}} 3.0
"""


def sample(t_s, cpu_s=None, periods=0.0, throttled=0.0, restarts=0):
    counters = {
        "process_cpu_seconds_total": cpu_s,
        "process_resident_memory_bytes": 2.0**25,
        "lab_cpu_periods_total": periods,
        "lab_cpu_throttled_periods_total": throttled,
    }
    at_ns = CLOCK.at_ns(t_s)
    return Sample(at_ns, "a", "n", "primary", restarts, True, counters if cpu_s is not None else {})


def test_rates_are_means_since_the_sample_before():
    table = tabulate_usage([sample(2.0, 1.2, 20, 5), sample(0.0, 1.0, 0, 0)], CLOCK)
    assert list(table["t_s"]) == [0.0, 2.0]
    assert table["cpu_cores"].isna().tolist() == [True, False]
    assert table["cpu_cores"][1] == pytest.approx(0.1)
    assert table["throttled_share"][1] == pytest.approx(0.25)
    assert table["memory_bytes"][1] == 2**25


def test_a_restart_begins_anew_instead_of_a_negative_rate():
    samples = [sample(0, 5.0, 50), sample(1, 0.3, 3, restarts=1), sample(2, 0.4, 4, restarts=1)]
    cores = tabulate_usage(samples, CLOCK)["cpu_cores"]
    assert cores.isna().tolist() == [True, True, False]
    assert cores[2] == pytest.approx(0.1)


def test_a_pod_that_cannot_be_read_is_a_row_with_gaps():
    table = tabulate_usage([sample(0, 1.0), sample(1), sample(2, 1.2)], CLOCK)
    assert table["memory_bytes"].isna().tolist() == [False, True, False]
    assert table["cpu_cores"][2] == pytest.approx(0.1)  # the mean over both seconds


def test_a_pod_without_work_is_not_throttled():
    table = tabulate_usage([sample(0, 1.0, 7, 7), sample(1, 1.0, 7, 7)], CLOCK)
    assert table["throttled_share"][1] == 0.0


def test_only_what_is_needed_is_read_from_the_metrics():
    assert parse_metrics(METRICS.format(cpu=1.5)) == {
        "process_cpu_seconds_total": 1.5,
        "process_resident_memory_bytes": 4.2e7,
        "lab_cpu_periods_total": 100.0,
        "lab_cpu_throttled_periods_total": 25.0,
    }


@pytest.mark.parametrize(
    ("stamps", "t_s"),
    [
        ({"eventTime": "2027-01-15T08:00:01.250000Z"}, 1.25),
        ({"lastTimestamp": "2027-01-15T08:00:02Z", "firstTimestamp": "2027-01-15T08:00:00Z"}, 2),
        ({"eventTime": "2027-01-15T08:00:01Z", "lastTimestamp": None}, 1),
        ({"series": {"lastObservedTime": "2027-01-15T08:00:03.5Z"}}, 3.5),
        ({}, 4),
    ],
    ids=["eventTime", "lastTimestamp", "null", "series", "created"],
)
def test_events_are_placed_by_their_latest_stamp(stamps, t_s):
    event = {
        "metadata": {"creationTimestamp": "2027-01-15T08:00:04Z"},
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Readiness probe failed",
        "involvedObject": {"kind": "Pod", "name": "a"},
    }
    table = tabulate_events([event | stamps], CLOCK)
    assert table["t_s"][0] == pytest.approx(t_s)
    assert table.loc[0, ["kind", "name", "reason"]].tolist() == ["Pod", "a", "Unhealthy"]


class Fleet:
    """A namespace of two pods: one answers, one hangs, and sometimes nobody answers at all."""

    def __init__(self):
        self.cpu_s, self.looks, self.since = 0.0, 0, None

    def pods(self):
        self.looks += 1
        if self.looks == 2:
            raise ClusterError("the cluster does not answer")
        return [self._pod("well", "primary"), self._pod("stuck", "backup")]

    def _pod(self, name, role):
        limits = {"cpu": "100m", "memory": "64Mi"}
        return {
            "metadata": {"name": name, "labels": {"role": role}},
            "spec": {"nodeName": "n", "containers": [{"resources": {"limits": limits}}]},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"restartCount": 2}],
            },
        }

    def proxy_pod(self, pod, port, path):
        assert (port, path) == (8000, "/metrics")
        if pod == "stuck":
            raise ClusterError("504 from the pod")
        self.cpu_s += 0.001
        return METRICS.format(cpu=self.cpu_s)

    def events_since(self, since):
        self.since = since
        return []


def test_the_sampler_survives_what_does_not_answer():
    fleet, clock = Fleet(), Clock.starting_in(0.0)
    deadline_s = time.monotonic() + 5
    with Sampler(fleet, period_s=0.02) as sampler:
        while fleet.looks < 6 and time.monotonic() < deadline_s:
            time.sleep(0.01)
    table = sampler.tables(clock)["usage"]
    by_pod = table.groupby("pod")["memory_bytes"]
    assert by_pod.count()["well"] >= 3
    assert by_pod.count()["stuck"] == 0
    assert by_pod.size()["stuck"] >= 3
    assert set(table["restarts"]) == {2}
    assert table["ready"].all()
    assert "the cluster does not answer" in sampler.errors
    assert sampler.limits["primary"] == {"cpu_cores": 0.1, "memory_bytes": 2**26}
    assert abs((fleet.since - datetime.now(UTC)).total_seconds()) < 10
