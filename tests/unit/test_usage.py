"""Counters become rates, gaps stay gaps, and the kubelet is the cross-check."""

import json
from dataclasses import replace

import pytest

from lab_utils.clock import Clock
from lab_utils.usage import (
    Sample,
    find_gaps,
    parse_metrics,
    parse_summary,
    tabulate_kubelet,
    tabulate_usage,
)

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


def test_memory_is_what_counts_against_the_limit_where_that_is_known():
    known = sample(0, 1.0)
    known.counters["lab_memory_bytes"] = 1.0
    assert tabulate_usage([known, sample(1, 1.0)], CLOCK)["memory_bytes"].tolist() == [1, 2**25]


def test_only_what_is_needed_is_read_from_the_metrics():
    assert parse_metrics(METRICS.format(cpu=1.5)) == {
        "process_cpu_seconds_total": 1.5,
        "process_resident_memory_bytes": 4.2e7,
        "lab_cpu_periods_total": 100.0,
        "lab_cpu_throttled_periods_total": 25.0,
    }


def test_a_pod_that_cannot_be_read_for_a_while_is_a_gap_with_its_reason():
    samples = [sample(0, 1.0), sample(1), sample(2), sample(3, 1.2), sample(4)]
    samples[1] = replace(samples[1], trouble="504 from the pod")
    first, second = find_gaps(samples)
    assert (CLOCK.at_s(first.start_ns), CLOCK.at_s(first.end_ns)) == (0.0, 3.0)
    assert (first.source, first.reason) == ("usage a", "504 from the pod")
    assert (CLOCK.at_s(second.start_ns), second.end_ns) == (3.0, None)


SUMMARY = {
    "node": {"nodeName": "n"},
    "pods": [
        {
            "podRef": {"name": name, "namespace": namespace},
            "cpu": {"time": "2027-01-15T08:00:02Z", "usageNanoCores": 25_000_000},
            "memory": {"workingSetBytes": 2**25},
        }
        for name, namespace in (("a", "lab"), ("b", "kube-system"))
    ]
    + [{"podRef": {"name": "new", "namespace": "lab"}}],
}


def test_the_kubelets_figures_are_placed_where_the_kubelet_looked_and_once():
    rows = list(parse_summary(json.dumps(SUMMARY), "lab"))
    table = tabulate_kubelet([row | {"role": "primary"} for row in rows * 2], CLOCK)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["t_s"], row["pod"], row["node"], row["role"]) == (2.0, "a", "n", "primary")
    assert (row["cpu_cores"], row["memory_bytes"]) == (0.025, 2.0**25)
