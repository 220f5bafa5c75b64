"""What is started next, for each restart policy and state."""

from typing import Any

import pytest

from lab_utils.controlplane.kubelet.records import ContainerRecord, make_plan

WAITING: dict[str, Any] = {"waiting": {}}
RUNNING: dict[str, Any] = {"running": {}}
DONE: dict[str, Any] = {"terminated": {"exitCode": 0}}
FAILED: dict[str, Any] = {"terminated": {"exitCode": 1}}


def record(name: str, state: dict[str, Any], *, init: bool = False) -> ContainerRecord:
    return ContainerRecord({"name": name}, init, state)


@pytest.mark.parametrize(
    ("policy", "state", "starts", "finished"),
    [
        ("Always", WAITING, True, False),
        ("Always", RUNNING, False, False),
        ("Always", DONE, True, False),
        ("OnFailure", DONE, False, True),
        ("OnFailure", FAILED, True, False),
        ("Never", FAILED, False, True),
    ],
)
def test_one_container(policy: str, state: dict[str, Any], starts: bool, finished: bool) -> None:
    plan = make_plan(policy, [record("c", state)])
    assert (bool(plan.start), plan.finished) == (starts, finished)


def test_init_containers_come_one_after_the_other() -> None:
    first, second = record("a", DONE, init=True), record("b", WAITING, init=True)
    plan = make_plan("Always", [first, second, record("c", WAITING)])
    assert plan.start == (second,)


def test_containers_wait_for_a_running_init_container() -> None:
    plan = make_plan("Always", [record("a", RUNNING, init=True), record("c", WAITING)])
    assert (plan.start, plan.finished) == ((), False)


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    assert make_plan("Never", [record("a", FAILED, init=True), record("c", WAITING)]).finished


def test_a_container_in_back_off_is_still_one_that_ended() -> None:
    waiting = record("c", {"waiting": {"reason": "CrashLoopBackOff"}})
    waiting.last_state = FAILED
    assert make_plan("Never", [waiting]).finished
