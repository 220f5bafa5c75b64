"""`lab run`: what it says of each notebook, and how it ends, with real kernels."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lab_utils.errors import InvalidInput
from lab_utils.notebooks import find_notebooks, run_notebooks
from lab_utils.waiting import wait_for

GOOD = "print('PASS 00.1: it is so (seen 1, wanted 1)\\nUNKNOWN 00.2: who knows (too few)')"


@pytest.fixture
def make(tmp_path):
    def write(name: str, *cells: str) -> str:
        notebook = new_notebook(cells=[new_markdown_cell("# A title"), *map(new_code_cell, cells)])
        nbformat.write(notebook, tmp_path / name)
        return str(tmp_path / name)

    return write


def lab_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab_utils.cli", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_each_notebook_is_said_with_its_time_and_its_verdicts(make):
    said: list[str] = []
    (outcome,) = run_notebooks([make("good.ipynb", GOOD)], say=said.append)
    assert outcome.verdicts == {"00.1": "PASS", "00.2": "UNKNOWN"}
    assert said == [f"[1/1] good: ok, {outcome.seconds:.0f} s, 1 PASS, 1 UNKNOWN"]


def test_the_first_failure_is_shown_with_its_cell_and_ends_the_run(make):
    done = lab_run(make("a.ipynb", GOOD, "x = 1\nx / 0"), make("b.ipynb", GOOD))
    assert done.returncode == 1
    assert "a.ipynb, cell 3 failed with ZeroDivisionError: division by zero" in done.stderr
    assert "    x = 1\n    x / 0" in done.stderr
    assert "[2/2]" not in done.stderr
    assert "Traceback" not in done.stderr


def test_keep_going_runs_the_others_and_fails_all_the_same(make):
    done = lab_run("--keep-going", "--json", make("a.ipynb", "1 / 0"), make("b.ipynb", GOOD))
    assert done.returncode == 1
    assert [one["ok"] for one in json.loads(done.stdout)] == [False, True]
    assert "[2/2] b: ok" in done.stderr


def test_only_save_writes_into_the_notebook(make):
    path = Path(make("good.ipynb", GOOD))
    run_notebooks([str(path)], say=str)
    assert nbformat.read(path, 4).cells[1].outputs == []
    run_notebooks([str(path)], save=True, say=str)
    assert "PASS 00.1" in nbformat.read(path, 4).cells[1].outputs[0].text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_ctrl_c_interrupts_the_cell_and_leaves_no_kernel(make, tmp_path, number):
    ready, kept = tmp_path / "pid", tmp_path / "kept"
    cell = (
        f"import os, pathlib, time\npathlib.Path({str(ready)!r}).write_text(str(os.getpid()))\n"
        f"try:\n    time.sleep(60)\nfinally:\n    pathlib.Path({str(kept)!r}).touch()"
    )
    path = make("long.ipynb", f"import os; os.mkfifo({str(ready)!r})", cell, "raise SystemError")
    command = [sys.executable, "-m", "lab_utils.cli", "run", path]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    late = AssertionError("The kernel does not start")
    wait_for(lambda: ready.exists() or None, timeout_s=30, late=lambda: late)
    kernel = int(ready.read_text())  # waits until the cell has written it
    running.send_signal(number)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 1
    assert "Stopped long.ipynb in cell 3." in said
    assert kept.exists()
    assert not Path(f"/proc/{kernel}").exists()


def test_a_notebook_is_found_by_number_name_or_path(make):
    path = make("own.ipynb")
    assert [found.name for found in find_notebooks(["07", "00_pre"])] == [
        "00_preflight.ipynb", "07_failover.ipynb",
    ]  # fmt: skip
    assert find_notebooks([path]) == [Path(path)]
    with pytest.raises(InvalidInput, match="There is no notebook '99': want one of 00_preflight"):
        find_notebooks(["99"])
