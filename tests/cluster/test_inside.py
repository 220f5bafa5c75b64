"""Load from inside: several pods, one schedule, nothing lost on the way."""

import _thread
import threading

import numpy as np
import pytest

from lab_utils.arrivals import make_schedule
from lab_utils.errors import InvalidInput
from lab_utils.inside import InsideGenerator

RATE_RPS, DURATION_S, SEED = 25.0, 4.0, 7


def fire(lab, pods, **options):
    how = {"rate_rps": RATE_RPS, "duration_s": DURATION_S, "seed": SEED, "service_ms": 2}
    return lab.fire(inside=pods, **how | options)


def jobs(lab):
    return lab.cluster.api.list("jobs", lab.cluster.namespace)


@pytest.mark.parametrize("pods", [1, 2, 4])
def test_any_number_of_pods_sends_the_same_schedule_and_loses_no_row(deployed, pods):
    run = fire(deployed, pods)
    expected = make_schedule("poisson", RATE_RPS, DURATION_S, SEED)
    assert run.settings["client"]["generators"] == pods
    assert np.array_equal(run.schedule["scheduled_s"], expected)
    assert list(run.requests["request_id"]) == list(range(len(expected)))
    assert np.array_equal(run.requests["scheduled_s"], expected)
    assert run.requests["ok"].all()
    assert set(run.requests["role"]) == {"primary", "backup"}
    assert not jobs(deployed)
    figures = run.validity.figures
    assert figures["achieved_rps"] == pytest.approx(figures["target_rps"], rel=0.01)


def test_the_percentiles_are_those_of_all_rows(deployed, monkeypatch):
    """Not those of the pods' percentiles: each raw row counts once, whoever sent it."""
    told = []
    take = InsideGenerator._collect

    def collect(self):
        take(self)
        told[:] = self.rows

    monkeypatch.setattr(InsideGenerator, "_collect", collect)
    run = fire(deployed, 4)
    raw = [row["attempts"][-1]["done_s"] - row["scheduled_s"] for row in told]
    assert len(raw) == len(run.requests)
    for share in (0.5, 0.9, 0.99):
        assert np.quantile(run.requests["latency_s"], share) == np.quantile(raw, share)


def test_an_interrupt_keeps_what_was_told_and_removes_the_pods(deployed, monkeypatch):
    started = InsideGenerator.start

    def start(self):
        clock = started(self)
        threading.Timer(3.5, _thread.interrupt_main).start()
        return clock

    monkeypatch.setattr(InsideGenerator, "start", start)
    run = fire(deployed, 2, duration_s=30.0)
    assert run.interrupted
    assert 0 < len(run.requests) < RATE_RPS * 15
    assert not jobs(deployed)


class Loss:
    """A fault: one of the generators dies."""

    name, target, at_s, duration_s = "delete pod", "load", 1.5, None

    def __init__(self, lab):
        self._lab = lab

    def inject(self):
        pod = self._lab.pods("app=load")[0]["metadata"]["name"]
        self._lab.cluster.delete("pod", pod, grace_s=0)

    def undo(self):
        pass


def test_a_generator_that_dies_is_told_and_the_others_rows_are_kept(deployed):
    run = fire(deployed, 2, faults=[Loss(deployed)])
    assert run.interrupted
    assert RATE_RPS * DURATION_S * 0.3 < len(run.requests) < RATE_RPS * DURATION_S
    assert not jobs(deployed)


def test_a_number_of_pods_that_cannot_be_is_refused(deployed):
    with pytest.raises(InvalidInput, match="inside is -1: want a whole number from 1 to 100"):
        fire(deployed, -1)


UNREACHABLE = """
apiVersion: v1
kind: Service
metadata: {name: shut, namespace: lab}
spec:
  ports: [{port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shut-1, namespace: lab, labels: {kubernetes.io/service-name: shut}}
addressType: IPv4
ports: [{port: 9, protocol: TCP}]
endpoints: [{addresses: [ADDRESS], conditions: {ready: true}}]
"""


def test_a_client_without_a_way_to_the_pods_it_chooses_among_sends_from_inside(deployed, tmp_path):
    address = deployed.pods("role=primary")[0]["status"]["podIP"]
    file = tmp_path / "shut.yaml"
    file.write_text(UNREACHABLE.replace("ADDRESS", address))  # a pod's address, a port it has not
    deployed.apply(file)
    try:
        run = deployed.fire(service="shut", balance="random", rate_rps=10, duration_s=1)
        assert run.settings["client"]["generators"] == 1
        assert set(run.requests["error"]) == {"refused"}
    finally:
        deployed.delete("endpointslice", "shut-1")
        deployed.delete("service", "shut")
