"""Which requests a fault hits, and what a client of a running worker sees of each fault."""

import http.client
import os
import signal

import pytest
from pydantic import ValidationError

from tests.tools.workers import BODY, INFER
from worker.faults import Fault, Faults


@pytest.fixture
def worker(start):
    """Give a worker that can be broken."""
    return start(WORKER_SERVICE_MS=1, WORKER_CONTROL=1, WORKER_CONTROL_PORT=0)


def inject(worker, **fault) -> int:
    answer = worker.control("POST", "/faults", fault)
    assert answer.status == 200, answer.body
    return answer.json()["number"]


def statuses(worker, count: int) -> list[int]:
    return [worker.ask("POST", INFER, BODY).status for _ in range(count)]


@pytest.mark.parametrize(
    ("rule", "hit"),
    [
        ({"next": 2}, [1, 2]),
        ({"every": 3}, [3, 6, 9]),
        ({"at": [2, 7]}, [2, 7]),
        ({"rate": 1.0}, list(range(1, 11))),
        ({}, list(range(1, 11))),
    ],
)
async def test_a_rule_chooses_requests_by_their_number(rule, hit):
    faults = Faults()
    faults.inject(Fault(kind="fail", **rule))
    assert [number for number in range(1, 11) if faults.next()] == hit


def test_a_rate_hits_its_share_and_the_same_requests_for_the_same_seed():
    hits = [Fault(kind="fail", rate=0.3, seed=seed).hits for seed in (1, 1, 2)]
    first, same, other = ([hit(number) for number in range(10_000)] for hit in hits)
    assert first == same != other
    assert sum(first) / 10_000 == pytest.approx(0.3, abs=0.02)


async def test_of_two_faults_the_first_wins_and_both_count():
    faults = Faults()
    for kind in ("fail", "drop"):
        faults.inject(Fault(kind=kind, every=2))
    assert [one and one.fault.kind for one in (faults.next(), faults.next())] == [None, "fail"]
    assert [(one.seen, one.hit) for one in faults.list().values()] == [(2, 1), (2, 1)]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "melt"}, "Input should be 'fail'"),
        ({"kind": "fail", "next": 1, "every": 2}, "wanted one of next, every, at and rate"),
        ({"kind": "leak", "next": 1}, "leak is a state of the process"),
        ({"kind": "fail", "rate": 2}, "less than or equal to 1"),
        ({"kind": "fail", "status": 200}, "greater than or equal to 400"),
        ({"kind": "crash", "exit_code": 256}, "less than or equal to 255"),
        ({"kind": "fail", "often": True}, "Extra inputs"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault, says):
    with pytest.raises(ValidationError, match=says):
        Fault(**fault)


def test_requests_fail_as_often_as_told_and_then_no_more(worker):
    inject(worker, kind="fail", next=2, status=502)
    assert statuses(worker, 4) == [502, 502, 200, 200]
    assert worker.metric('lab_requests_total{code="502"}') == 2


def test_every_third_request_fails_until_the_fault_is_undone(worker):
    number = inject(worker, kind="fail", every=3)
    assert statuses(worker, 6) == [200, 200, 500, 200, 200, 500]
    listed = worker.control("GET", "/faults").json()[str(number)]
    assert (listed["fault"]["every"], listed["seen"], listed["hit"]) == (3, 6, 2)
    assert worker.control("DELETE", f"/faults/{number}").json() == {"undone": [number]}
    assert statuses(worker, 3) == [200] * 3
    assert worker.control("DELETE", f"/faults/{number}").status == 404


def test_a_hang_holds_every_answer_but_the_control_ports_until_it_is_undone(worker):
    inject(worker, kind="hang")
    held = [worker.send("GET", "/v2/health/live"), worker.send("POST", INFER, BODY)]
    assert worker.control("GET", "/faults").status == 200
    with pytest.raises(TimeoutError):
        worker.ask("GET", "/v2/health/ready", timeout_s=0.2)
    assert worker.control("DELETE", "/faults").json() == {"undone": [1]}
    assert [client.answer().status for client in held] == [200, 200]


def test_a_hang_of_one_request_leaves_the_others_alone(worker):
    inject(worker, kind="hang", next=1)
    held = worker.send("POST", INFER, BODY)
    worker.wait_until(lambda: worker.control("GET", "/faults").json()["1"]["hit"] == 1)
    assert statuses(worker, 2) == [200, 200]
    worker.control("DELETE", "/faults")
    assert held.answer().status == 200


def test_slow_requests_take_factor_times_as_long(worker):
    inject(worker, kind="slow", every=2, factor=20)
    took_s = [worker.infer()["parameters"]["service_s"] for _ in range(4)]
    assert took_s == [0.001, 0.02, 0.001, 0.02]
    worker.control("DELETE", "/faults")
    assert worker.infer()["parameters"]["service_s"] == 0.001


def test_a_dropped_connection_ends_without_a_byte(worker):
    inject(worker, kind="drop", next=1)
    with pytest.raises(http.client.RemoteDisconnected):
        worker.ask("POST", INFER, BODY)
    assert statuses(worker, 1) == [200]


def test_garbage_is_a_success_that_nobody_can_read(worker):
    inject(worker, kind="garbage", next=1)
    answer = worker.ask("POST", INFER, BODY)
    assert answer.status == 200
    with pytest.raises(UnicodeDecodeError):
        answer.json()
    assert worker.infer()


def test_not_ready_is_live_and_ends_with_the_fault(worker):
    inject(worker, kind="not_ready")
    assert worker.get("/v2/health/ready") == (503, {"ready": False})
    assert worker.get("/v2/health/live") == (200, {"live": True})
    worker.control("DELETE", "/faults")
    assert worker.get("/v2/health/ready") == (200, {"ready": True})


def test_a_crash_has_the_exit_code_asked_for(worker):
    inject(worker, kind="crash", exit_code=42)
    assert worker.process.wait(10) == 42


def test_a_crash_may_wait_for_its_request(worker):
    inject(worker, kind="crash", at=[2], exit_code=43)
    assert statuses(worker, 1) == [200]
    with pytest.raises(http.client.RemoteDisconnected):
        worker.ask("POST", INFER, BODY)
    assert worker.process.wait(10) == 43


def test_a_leak_grows_and_is_given_back(worker):
    def resident_mib() -> float:
        return worker.metric("process_resident_memory_bytes") / 2**20

    before = resident_mib()
    inject(worker, kind="leak", mib_per_s=100)
    worker.wait_until(lambda: resident_mib() > before + 30)
    worker.control("DELETE", "/faults")
    worker.wait_until(lambda: resident_mib() < before + 3)


def test_a_deaf_worker_ignores_sigterm_until_the_fault_is_undone(worker):
    inject(worker, kind="ignore_sigterm")
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.get("/v2/health/ready") == (200, {"ready": True})
    worker.control("DELETE", "/faults")
    assert worker.end() == 0


def test_a_stall_lets_requests_queue_and_serves_them_afterwards(worker):
    number = inject(worker, kind="stall")
    waiting = [worker.send("POST", INFER, BODY) for _ in range(3)]
    worker.wait_until(lambda: worker.metric("lab_queue_depth") == 3)
    assert worker.get("/v2/health/ready") == (200, {"ready": True})
    worker.control("DELETE", f"/faults/{number}")
    assert [client.answer().status for client in waiting] == [200] * 3
