"""Disks, homes, limits and machines that are too small or too busy: faults 11 to 15."""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from lab_utils.course.records import Records
from lab_utils.errors import InvalidInput, LabError
from lab_utils.runs import Run
from lab_utils.waiting import wait_for
from lab_utils.workload import fire
from tests.tools.disks import fill, small_disk
from tests.tools.made_runs import simple_run
from tests.tools.servers import GOOD, serving, writes


@pytest.mark.fault(11)
def test_11_on_a_full_disk_what_was_saved_stays_and_the_reason_is_said(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        kept = simple_run([{"scheduled_s": 1.0, "ok": True, "latency_s": 0.1}]).save(disk / "run")
        fill(disk)
        with pytest.raises(LabError, match="No space left on device"):
            simple_run([{"scheduled_s": k / 10} for k in range(2_000)]).save(kept)
        assert len(Run.load(kept).requests) == 1
        assert [path.name for path in sorted(disk.iterdir())] == ["ballast", "run"]


@pytest.mark.fault(11)
def test_11_on_a_full_disk_no_prediction_is_half_written(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        records = Records(disk)
        records.append("prediction", "07.2", value=7)
        ballast = fill(disk)
        with pytest.raises(InvalidInput, match=r"No space left on device.*LAB_RESULTS_DIR"):
            records.append("prediction", "07.2", value=8, note="n" * 5_000)  # more than a page
        ballast.unlink()
        records.append("prediction", "07.2", value=9)
        assert [line["value"] for line in records.read()] == [7, 9]


@pytest.mark.fault(11)
def test_11_on_a_full_disk_the_cluster_says_so_and_starts_when_there_is_room(make_lab, tmp_path):
    with small_disk(tmp_path / "disk", "8m") as disk:
        lab = make_lab(state_dir=disk)
        ballast = fill(disk)
        with pytest.raises(LabError, match="No space left on device"):
            lab.up()
        ballast.unlink()
        assert lab.up()["running"]
        assert lab.down()


HOMES = ["missing", "read-only", "with space and ü", "a link", "deep/" + "d" * 120]


@contextmanager
def unusable(home):
    """Make a home as its name says."""
    if home.name == "missing":
        yield home
        return
    home.parent.mkdir(exist_ok=True)
    if home.name == "a link":
        home.symlink_to(home.parent)
        yield home
        return
    with ExitStack() as stack:
        if home.name == "read-only":
            stack.enter_context(small_disk(home))
            subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        else:
            home.mkdir()
        yield home


@pytest.mark.fault(12)
@pytest.mark.parametrize("name", HOMES)
def test_12_a_strange_home_is_used_or_done_without(make_lab, monkeypatch, tmp_path, name):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with unusable(tmp_path / name) as home:
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("LAB_STATE_DIR")
        monkeypatch.setattr("tempfile.tempdir", None)
        lab = make_lab()
        assert set(lab.ensure()["pods"].values()) == {"Running"}
        assert lab.down()


@pytest.mark.fault(13)
def test_13_a_low_limit_of_open_files_is_a_finding_with_its_remedy():
    command = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
    command += "from lab_utils.session import lab; print(lab().doctor().to_string())"
    said = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line for line in said.splitlines() if "open files" in line]
    assert "warn" in line
    assert "ulimit -n" in line


@pytest.mark.fault(14)
def test_14_a_worker_over_its_memory_limit_is_killed_and_the_notebook_lives(lab):
    lab.ensure("control")

    def killed():
        (status,) = lab.pods("role=primary")[0]["status"]["containerStatuses"]
        ended = {**status["lastState"], **status["state"]}.get("terminated")
        return (status["restartCount"], ended) if ended and status["restartCount"] else None

    with lab.faults.leak("primary", mib_per_s=40):
        late = AssertionError("the worker was not killed")
        restarts, ended = wait_for(killed, timeout_s=40, late=lambda: late)
    assert (restarts, ended["reason"], ended["exitCode"]) == (1, "OOMKilled", 137)
    lab.ensure()


BUSY = "while True: pass"


@pytest.mark.fault(15)
def test_15_a_starved_load_generator_is_reported_and_not_charted_as_latency():
    """Eight busy loops and the generator share one core; elsewhere the machine is free."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, everywhere)
        for _ in range(8):
            loop = stack.enter_context(subprocess.Popen([sys.executable, "-c", BUSY]))
            stack.callback(loop.kill)
        url = stack.enter_context(serving(writes(GOOD)))
        run = fire(url, rate_rps=300, duration_s=3, progress=False)
    assert not run.validity.valid
    assert run.validity.text.startswith("INVALID: ")
