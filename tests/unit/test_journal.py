"""A run outlives its kernel: what was told is on disk, and the generator ends by itself."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import psutil
import pytest

from lab_utils.errors import InvalidInput
from lab_utils.journal import JOURNAL, KEPT_RUNS, list_journals, next_folder, read_journal
from lab_utils.runs import Run
from lab_utils.workload import fire
from tests.tools.servers import GOOD, serving, writes

KERNEL = """
import sys
from pathlib import Path
from lab_utils.workload import fire
fire(sys.argv[1], rate_rps=100, duration_s=60, folder=Path(sys.argv[2]), backend="test", seed=9)
"""


def wait_until(holds, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while not (seen := holds()):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    return seen


@pytest.mark.fault(1)
def test_a_killed_kernel_leaves_a_partial_run_and_no_process(tmp_path):
    folder = tmp_path / "run"
    with serving(writes(GOOD)) as url:
        kernel = subprocess.Popen([sys.executable, "-c", KERNEL, url, str(folder)])
        journal = folder / JOURNAL
        wait_until(lambda: journal.exists() and journal.read_text().count("request_id") > 20)
        (generator,) = psutil.Process(kernel.pid).children()
        kernel.send_signal(signal.SIGKILL)
        kernel.wait()
        _, alive = psutil.wait_procs([generator], timeout=5)
    assert not alive
    run = Run.load(folder)
    assert run.interrupted
    assert len(run.requests) > 20
    assert (run.requests["ok"] | (run.requests["error"] == "cancelled")).all()
    assert (run.seed, run.backend, run.settings["rate_rps"]) == (9, "test", 100.0)
    assert len(run.schedule) > 5_000


def test_a_journal_tells_the_same_as_the_run_it_is_of(tmp_path):
    with serving(writes(GOOD)) as url:
        run = fire(url, rate_rps=100, duration_s=0.5, folder=tmp_path / "one")
    again = Run.load(tmp_path / "one")
    pd.testing.assert_frame_equal(again.requests, run.requests)
    pd.testing.assert_frame_equal(again.attempts, run.attempts)
    assert again.settings == run.settings
    assert not again.interrupted


def test_a_journal_that_ends_in_the_middle_of_a_line_counts_until_then(tmp_path):
    with serving(writes(GOOD)) as url:
        fire(url, rate_rps=100, duration_s=0.3, folder=tmp_path / "one")
    journal = tmp_path / "one" / JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if "request_id" in line) + 5
    journal.write_text("".join(lines[:cut]) + lines[cut][:10])
    run = Run.load(tmp_path / "one")
    assert run.interrupted
    assert len(run.requests) == 5


@pytest.mark.fault(11)
def test_a_full_disk_costs_the_journal_but_not_the_run():
    with serving(writes(GOOD)) as url:
        run = fire(url, rate_rps=100, duration_s=0.3, folder=FullDisk())
    assert run.requests["ok"].all()
    assert "No space left on device" in run.settings["client"]["journal_trouble"]


class FullDisk:
    """A folder whose journal is the device that is always full."""

    def __truediv__(self, name):
        return "/dev/full"


def test_a_journal_without_a_clock_was_never_started():
    with pytest.raises(InvalidInput, match="was never started"):
        read_journal(['{"plan": {}}\n'])


def write_journal(folder, started_s, end):
    folder.mkdir(parents=True)
    clock = {"start_ns": 0, "start_unix_s": started_s}
    told = [{"plan": {}}, {"clock": clock}, {"request_id": 0}, {"sent": 7}, *end]
    (folder / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in told))
    os.utime(folder / JOURNAL, (started_s, started_s))


def test_runs_are_listed_with_the_newest_first(tmp_path):
    write_journal(tmp_path / "a", 1000.0, [{"end": {"interrupted": False}}])
    write_journal(tmp_path / "b", 2000.0, [])
    table = list_journals(tmp_path)
    assert table["folder"].tolist() == [str(tmp_path / "b"), str(tmp_path / "a")]
    assert table["interrupted"].tolist() == [True, False]
    assert table["requests"].tolist() == [7, 7]


def test_only_the_last_runs_are_kept(tmp_path):
    for number in range(KEPT_RUNS + 3):
        write_journal(tmp_path / f"run-{number:02}", 1000.0 + number, [])
    folder = next_folder(tmp_path)
    assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == KEPT_RUNS - 1
    assert not (tmp_path / "run-03").exists()


def test_runs_that_begin_at_once_tidy_up_together(tmp_path):
    for number in range(300):
        write_journal(tmp_path / f"run-{number:03}", 1000.0 + number, [])
    with ThreadPoolExecutor(8) as pool:
        folders = [pool.submit(next_folder, tmp_path) for _ in range(8)]
        listed = [pool.submit(list_journals, tmp_path) for _ in range(8)]
    assert len({call.result() for call in folders}) == len(folders)
    assert all(len(call.result()) >= KEPT_RUNS - 1 for call in listed)
    assert len(list_journals(tmp_path)) == KEPT_RUNS - 1
