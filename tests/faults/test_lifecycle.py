"""Kernels, notebooks and processes that end, stop or run twice: faults 1 to 10."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from lab_utils.controlplane import launch
from lab_utils.controlplane.config import RUN_MARK, ClusterConfig, Layout
from lab_utils.controlplane.processes import marked, wait_until
from lab_utils.errors import ClusterError, ClusterNotRunning
from lab_utils.runs import Run
from lab_utils.settings import cluster_root
from tests.tools.kernels import kernel, run

GONE_WITHIN_S = 5.0


def root_of(lab):
    return cluster_root(lab.settings, "embedded")


def uids(lab):
    return sorted(pod["metadata"]["uid"] for pod in lab.pods())


@pytest.mark.fault(1)
def test_01_a_kernel_killed_under_load_leaves_the_cluster_and_a_marked_run(deployed):
    before, kept = uids(deployed), set(deployed.history()["folder"])
    with kernel(deployed, "lab.fire(rate_rps=20, duration_s=60, progress=False)") as notebook:
        assert wait_until(lambda: _children(notebook), timeout_s=20)
        generators = _children(notebook)
        assert wait_until(lambda: _sent(deployed, kept) > 20, timeout_s=20)
        notebook.kill()
        _, alive = psutil.wait_procs(generators, timeout=GONE_WITHIN_S)
    assert alive == []
    deployed.ensure()
    assert uids(deployed) == before
    (folder,) = set(deployed.history()["folder"]) - kept
    assert Run.load(folder).interrupted


def _children(process):
    return psutil.Process(process.pid).children()


def _sent(lab, kept):
    history = lab.history()
    return sum(history.loc[~history["folder"].isin(kept), "requests"])


@pytest.mark.fault(2)
@pytest.mark.parametrize(
    "step",
    [
        "lab.up()",
        "lab.apply()",
        "lab.scale('inference-backup', 2); lab.wait()",
        "lab.ensure('no' * 0)",
        "lab.infer()",
    ],
)
def test_02_an_interrupt_gives_control_back_within_a_second(deployed, step):
    code = f"import lab_utils.session\nlab.status()\nprint('go', flush=True)\nwhile True: {step}"
    with kernel(deployed, code) as notebook:
        assert notebook.stdout.readline() == "go\n"
        notebook.send_signal(signal.SIGINT)
        notebook.wait(timeout=1.0 + 0.5)  # and half a second for Python itself to end
        assert notebook.stderr.read().rstrip().endswith("KeyboardInterrupt")
    deployed.ensure()
    assert len(uids(deployed)) == 2


@pytest.mark.fault(3)
def test_03_a_restarted_kernel_adopts_what_runs(deployed):
    cells = "lab.ensure(); print(sorted(p['metadata']['uid'] for p in lab.pods()))"
    first, again = run(deployed, cells), run(deployed, cells)
    assert first == again == str(uids(deployed))


@pytest.mark.fault(4)
def test_04_up_and_down_may_be_said_twice(make_lab):
    lab = make_lab()
    assert not lab.down()
    assert lab.up() == lab.up()
    assert lab.down()
    assert not lab.down()
    with pytest.raises(ClusterNotRunning, match=r"Start it: lab\.up\(\)"):
        lab.get("pods")


@pytest.mark.fault(5)
def test_05_two_notebooks_that_start_at_once_share_one_cluster(make_lab):
    lab = make_lab()
    cells = "import json; print(json.dumps(lab.ensure()))"
    with ThreadPoolExecutor() as notebooks:
        one, other = map(json.loads, notebooks.map(run, [lab, lab], [cells, cells]))
    assert one["kubeconfig"] == other["kubeconfig"]
    assert len(lab.ensure()["pods"]) == 2
    assert run(lab, "lab.down()") == ""  # ended by one notebook, started again by the other
    assert len(lab.ensure()["pods"]) == 2


@pytest.mark.fault(7)
def test_07_a_clock_that_jumps_an_hour_moves_no_pod_and_no_latency(make_lab, monkeypatch, tmp_path):
    """The clock of the cluster's own processes jumps: Python reads it through a shim."""
    shift = tmp_path / "shift"
    shift.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(JUMPING.format(shift=str(shift)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lab = make_lab()
    lab.ensure()
    before = uids(lab)
    for jump_s in (3600, -3600):
        shift.write_text(str(jump_s))
        fired = lab.fire(rate_rps=10, duration_s=6, progress=False)
        assert fired.requests["ok"].all()
        assert (fired.requests["latency_s"] > 0).all()
        assert set(lab.status()["nodes"].values()) == {"Ready"}
    assert uids(lab) == before
    lab.scale("inference-backup", 2)
    lab.wait()


JUMPING = """
import datetime, time
_clock = time.time

def _shift():
    with open({shift!r}) as file:
        return float(file.read())

class _Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(_clock() + _shift(), tz)

_real = datetime.datetime
_Jumping.now = classmethod(lambda cls, tz=None: _real.fromtimestamp(_clock() + _shift(), tz))
datetime.datetime = _Jumping
time.time = lambda: _clock() + _shift()
"""


@pytest.mark.fault(8)
def test_08_a_pid_that_another_program_has_taken_is_never_signalled(own_lab):
    layout = Layout(root_of(own_lab))
    there = json.loads(layout.endpoint.read_text())
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as innocent:
        stale = there | {"pid": innocent.pid, "guard_pid": innocent.pid}
        run_id = ClusterConfig.load(layout.config).run_id
        layout.endpoint.write_text(json.dumps(stale))
        assert not own_lab.status()["running"]
        own_lab.up()
        assert innocent.poll() is None
        innocent.kill()
    assert not any(marked(RUN_MARK, run_id))  # what the file did not name was swept by its mark


@pytest.mark.fault(9)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_09_without_its_control_plane_nothing_runs_and_the_next_call_says_so(own_lab, number):
    run_id = ClusterConfig.load(Layout(root_of(own_lab)).config).run_id
    os.kill(launch.find(root_of(own_lab)).pid, number)
    assert wait_until(lambda: not any(marked(RUN_MARK, run_id)), timeout_s=GONE_WITHIN_S)
    with pytest.raises(ClusterNotRunning, match=r"is not running.*lab\.up\(\)"):
        own_lab.get("nodes")


@pytest.mark.fault(9)
def test_09_a_cluster_whose_folder_is_deleted_ends_with_it(own_lab):
    run_id = ClusterConfig.load(Layout(root_of(own_lab)).config).run_id
    shutil.rmtree(root_of(own_lab))
    assert wait_until(lambda: not any(marked(RUN_MARK, run_id)), timeout_s=2 * GONE_WITHIN_S)
    assert own_lab.up()["running"]


@pytest.mark.fault(10)
def test_10_a_control_plane_that_stands_still_is_said_and_goes_on(own_lab):
    pid = launch.find(root_of(own_lab)).pid
    os.kill(pid, signal.SIGSTOP)
    started_s = time.monotonic()
    try:
        with pytest.raises(ClusterError, match="does not answer"):
            own_lab.get("nodes")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - started_s < 20
    assert set(own_lab.status()["nodes"]) == set(own_lab.get("nodes")["Name"])
