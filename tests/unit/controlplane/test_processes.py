"""Processes of a cluster are found by their mark and killed, however they have forked."""

import os
import signal
import subprocess
import sys
import uuid

import pytest

from lab_utils.controlplane.processes import (
    arguments_of,
    birth_of,
    is_same,
    marked,
    signal_marked,
    sweep,
    wait_until,
)

MARK = "LAB_TEST_MARK"
# A child that leaves its parent, its session and its process group behind.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


@pytest.fixture
def mark():
    value = uuid.uuid4().hex
    yield value
    sweep(MARK, value)


def start(mark, code):
    return subprocess.Popen([sys.executable, "-c", code], env=os.environ | {MARK: mark})


def test_a_daemonised_descendant_is_swept_too(mark):
    with start(mark, DAEMON) as child:
        assert wait_until(lambda: len(set(marked(MARK, mark))) == 2, timeout_s=5)
        assert sweep(MARK, mark) == 2
        assert not set(marked(MARK, mark))
        assert child.wait() == -signal.SIGKILL


def test_a_stopped_process_is_swept_too(mark):
    with start(mark, "import time; time.sleep(60)") as child:
        assert wait_until(lambda: any(marked(MARK, mark)), timeout_s=5)
        signal_marked(MARK, mark, signal.SIGSTOP)
        sweep(MARK, mark)
        assert child.wait() == -signal.SIGKILL


def test_another_mark_is_left_alone(mark):
    with start(mark, "import time; time.sleep(60)") as child:
        assert wait_until(lambda: any(marked(MARK, mark)), timeout_s=5)
        assert sweep(MARK, mark + "x") == 0
        assert child.poll() is None
        child.kill()


@pytest.mark.fault(8)
def test_a_pid_used_again_is_not_the_same_process():
    born = birth_of(os.getpid())
    assert born is not None
    assert is_same(os.getpid(), born)
    assert not is_same(os.getpid(), born - 6_000)


def test_a_process_that_ended_has_no_birth():
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert birth_of(child.pid) is None


def test_arguments_are_read_in_the_order_asked_for():
    assert arguments_of(["x", "--node", "n", "--state", "/s"], "state", "node") == ["/s", "n"]
