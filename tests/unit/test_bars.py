"""Progress is shown where somebody looks and nowhere else."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from lab_utils.bars import track

WORK = """
from lab_utils.bars import track
with track("Loading", 3) as bar:
    bar.say("node 3")
    bar.reach(3)
"""


@pytest.fixture
def loud():
    """Give an environment in which somebody looks."""
    return {k: v for k, v in os.environ.items() if k not in ("LAB_QUIET", "PYTEST_VERSION")}


def run_work(env, **streams):
    return subprocess.run([sys.executable, "-c", WORK], env=env, check=True, **streams)


def test_nothing_is_shown_under_pytest(capfd):
    with track("Loading", 3) as bar:
        bar.reach(1)
        bar.say("node 1")
    assert capfd.readouterr() == ("", "")


@pytest.mark.fault(39)
def test_nothing_is_shown_without_a_terminal(loud):
    done = run_work(loud, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.fault(39)
@pytest.mark.parametrize(("quiet", "shown"), [("0", True), ("1", False)])
def test_a_terminal_shows_a_bar_on_standard_error(loud, quiet, shown):
    pty = pytest.importorskip("pty", reason="needs a terminal")
    ours, theirs = pty.openpty()
    env = loud | {"LAB_QUIET": quiet, "TERM": "xterm", "COLUMNS": "100"}
    done = run_work(env, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        seen = os.read(ours, 100_000).decode()
    except OSError:  # nothing was written
        seen = ""
    os.close(ours)
    assert done.stdout == b""
    assert ("Loading" in seen and "node 3" in seen) is shown


def test_a_notebook_shows_one_line_that_is_updated_in_place(monkeypatch):
    for name in ("LAB_QUIET", "PYTEST_VERSION"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WORK)])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    [output] = notebook.cells[0].outputs
    assert "node 3" in output["data"]["text/plain"]
    assert 'max="3"' in output["data"]["text/html"]
