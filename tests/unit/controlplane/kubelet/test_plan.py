"""What is started next, for each restart policy and state."""

from typing import Any

import pytest

from lab_utils.controlplane.kubelet.records import ContainerRecord, is_over, to_start

WAITING: dict[str, Any] = {"waiting": {}}
RUNNING: dict[str, Any] = {"running": {}}
DONE: dict[str, Any] = {"terminated": {"exitCode": 0}}
FAILED: dict[str, Any] = {"terminated": {"exitCode": 1}}


def record(name: str, state: dict[str, Any], *, init: bool = False) -> ContainerRecord:
    return ContainerRecord({"name": name}, init, state)


@pytest.mark.parametrize(
    ("policy", "state", "starts"),
    [
        ("Always", WAITING, True),
        ("Always", RUNNING, False),
        ("Always", DONE, True),
        ("OnFailure", DONE, False),
        ("OnFailure", FAILED, True),
        ("Never", WAITING, True),
        ("Never", FAILED, False),
    ],
)
def test_one_container(policy: str, state: dict[str, Any], starts: bool) -> None:
    assert bool(to_start(policy, [record("c", state)])) == starts


def test_init_containers_come_one_after_the_other() -> None:
    first, second = record("a", DONE, init=True), record("b", WAITING, init=True)
    assert to_start("Always", [first, second, record("c", WAITING)]) == [second]


def test_containers_wait_for_a_running_init_container() -> None:
    assert to_start("Always", [record("a", RUNNING, init=True), record("c", WAITING)]) == []


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    assert to_start("Never", [record("a", FAILED, init=True), record("c", WAITING)]) == []


def test_a_container_in_back_off_is_still_one_that_ended() -> None:
    waiting = record("c", {"waiting": {"reason": "CrashLoopBackOff"}})
    waiting.last_state = FAILED
    assert to_start("Never", [waiting]) == []


def sidecar(state: dict[str, Any], *, started: bool = False) -> ContainerRecord:
    return ContainerRecord({"name": "s", "restartPolicy": "Always"}, True, state, started=started)


def test_a_sidecar_has_to_start_up_before_the_next_one() -> None:
    main = record("c", WAITING)
    assert to_start("Never", [sidecar(RUNNING), main]) == []
    assert to_start("Never", [sidecar(RUNNING, started=True), main]) == [main]


def test_a_sidecar_that_ended_runs_again_beside_the_others() -> None:
    ended, main = sidecar(DONE), record("c", RUNNING)
    main.begun = True
    assert to_start("Never", [ended, main]) == [ended]


@pytest.mark.parametrize(
    ("policy", "records", "over"),
    [
        ("Never", [sidecar(RUNNING, started=True), record("c", DONE)], True),
        ("Never", [sidecar(RUNNING), record("c", WAITING)], False),
        ("Always", [record("c", DONE)], False),
        ("OnFailure", [record("c", DONE), record("d", RUNNING)], False),
        ("OnFailure", [record("c", DONE), record("d", FAILED)], False),
        ("Never", [record("i", FAILED, init=True), record("c", WAITING)], True),
        ("OnFailure", [record("i", FAILED, init=True), record("c", WAITING)], False),
    ],
)
def test_a_pod_is_over(policy: str, records: list[ContainerRecord], over: bool) -> None:
    assert is_over(policy, records) == over
