"""Two notebooks at once: they take turns, and neither measures what the other has deployed."""

import subprocess
import sys
import threading

import pytest

from lab_utils.errors import Taken
from lab_utils.turns import Turns


@pytest.fixture
def path(tmp_path):
    return tmp_path / "turns" / "embedded-lab"


@pytest.fixture
def mine(path):
    return Turns(path, "lab", patience_s=20.0)


def test_the_second_waits_until_the_first_has_ended(mine, path):
    others = Turns(path, "lab")
    order = []

    def second() -> None:
        with mine.take():
            order.append("second")

    with others.take():
        waiting = threading.Thread(target=second)
        waiting.start()
        order.append("first")
    waiting.join(timeout=20)
    assert order == ["first", "second"]


def test_a_turn_that_does_not_end_is_told_with_both_ways_out(path):
    with Turns(path, "lab").take(), pytest.raises(Taken, match=r"Interrupt it .* or .*reset\(\)"):
        Turns(path, "lab", patience_s=0.0)._lock()


def test_the_threads_of_one_notebook_share_its_turn(mine):
    with mine.take():
        thread = threading.Thread(target=lambda: mine.take().__enter__())
        thread.start()
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_a_killed_notebook_leaves_no_turn_behind(mine, path):
    code = (
        "import sys, time; from pathlib import Path; from lab_utils.turns import Turns\n"
        f"with Turns(Path({str(path)!r}), 'lab').take(): print('mine', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        other.kill()
    with mine.take():
        pass


def test_what_another_has_deployed_is_not_measured(mine, path):
    others = Turns(path, "lab")
    mine.require_mine()  # nobody has deployed
    others.sign()
    mine.require_mine()  # this one never has: a kernel that was restarted goes on
    mine.sign()
    mine.require_mine()
    others.sign()
    with pytest.raises(
        Taken, match=r"Another notebook or terminal has deployed .* lab\.ensure\(\)"
    ):
        mine.require_mine()
    mine.sign()
    mine.require_mine()
