"""What a run says of probes: when a pod was gone, when it was back, and who was silent."""

from dataclasses import replace

import pytest

from lab_utils import analysis
from lab_utils.tables import make_table
from tests.tools.made_runs import simple_run

HANG = {"start_s": 10.0, "end_s": 20.0, "name": "hang", "target": "primary"}


def pod(role, **probe):
    spec = {"containers": [{"readinessProbe": probe} if probe else {}]}
    return {"metadata": {"labels": {"role": role}}, "spec": spec}


def watched(*moments, faults=(HANG,)):
    """Make a run in which the primary's pod became ready or not: (t_s, ready)."""
    rows = [
        {"t_s": t_s, "kind": "pod", "name": "p", "role": "primary", "ready": ready}
        for t_s, ready in moments
    ]
    return replace(simple_run([], faults=faults), states=make_table("states", rows))


def test_a_hang_is_found_with_its_probe_and_its_range():
    run = watched((0, True), (14.2, False), (20.5, True))
    probe = {"periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 1}
    [point] = analysis.detection_points([run], [pod("primary", **probe)]).to_dict("records")
    assert (point["low_s"], point["high_s"]) == (3, 5)
    assert point["detected_s"] == pytest.approx(4.2)
    assert point["back_s"] == pytest.approx(10.5)


def test_a_probe_without_numbers_has_those_of_kubernetes():
    points = analysis.detection_points([watched((0, True))], [pod("primary", httpGet={})])
    assert points[["period_s", "failure_threshold", "timeout_s"]].iloc[0].tolist() == [10, 3, 1]
    assert points[["detected_s", "back_s"]].isna().all(axis=None)


def test_what_happened_before_the_fault_is_not_its_detection():
    run = watched((-1, True), (3, False), (6, True), (13, False))
    points = analysis.detection_points([run], [pod("primary", periodSeconds=2)])
    assert points["detected_s"].item() == pytest.approx(3)


def test_faults_on_pods_without_a_readiness_probe_are_left_out():
    assert analysis.detection_points([watched((0, True))], [pod("primary")]).empty
    assert analysis.detection_points([watched(faults=())], [pod("primary", x=1)]).empty


def test_a_silence_is_a_span_without_answers_of_one_while_others_answer():
    times = {"primary": (0, 0.5, 4.5, 5.0), "backup": (0, 0.8, 1.6, 2.4)}
    rows = [
        {"done_s": t_s, "ok": True, "role": role} for role, mine in times.items() for t_s in mine
    ]
    found = analysis.silences(simple_run(rows).requests)
    assert found.to_numpy().tolist() == [["backup", 2.4, 5.0, 2.6], ["primary", 0.5, 4.5, 4.0]]


def test_a_failure_is_no_answer():
    rows = [{"done_s": t_s, "ok": t_s != 1, "role": "primary"} for t_s in (0, 1, 2)]
    assert analysis.silences(simple_run(rows).requests)["duration_s"].tolist() == [2.0]
    assert analysis.silences(simple_run([]).requests).empty
