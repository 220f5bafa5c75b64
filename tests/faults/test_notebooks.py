"""Notebooks in strange places, and twice: faults 4, 39 and 40."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from lab_utils import charts
from tests.tools.kernels import environment_of
from tests.tools.made_runs import simple_run
from tests.tools.run_course import double

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "00_preflight.ipynb"


@pytest.mark.fault(4)
def test_04_every_cell_may_be_run_twice(lab):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = double(notebook.cells)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )  # fmt: skip
    client.execute(env=environment_of(lab))
    said = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    assert not [output for output in said if output.output_type == "error"]


PREDICTS = "import lab_utils as lab; lab.status(); print(lab.predict('00.1', ...)); lab.progress()"


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    "env",
    [{"TERM": "dumb"}, {"NO_COLOR": "1", "COLUMNS": "20"}, {"PYTHONWARNINGS": "default"}],
    ids=["dumb terminal", "narrow without colour", "warnings shown"],
)
def test_39_without_a_front_end_nothing_is_drawn_that_cannot_be(lab, tmp_path, env):
    env = environment_of(lab) | {"LAB_RESULTS_DIR": str(tmp_path)} | env
    done = subprocess.run(
        [sys.executable, "-c", PREDICTS], env=env, capture_output=True, text=True, check=True
    )
    assert "UNKNOWN until you predict it" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.fault(39)
def test_39_a_notebook_becomes_a_page_with_its_figures(tmp_path):
    page, _ = HTMLExporter().from_filename(str(ROOT / "notebooks" / "07_failover.ipynb"))
    assert page.count("data:image/png;base64,") >= 3


@pytest.mark.fault(39)
def test_39_a_chart_brings_its_own_ground_for_dark_themes():
    with charts.style():
        ax = charts.timeline(simple_run([{"scheduled_s": 1.0, "ok": True, "latency_s": 0.1}]))
        assert [*ax.figure.get_facecolor()] == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.fault(40)
def test_40_every_python_and_every_client_that_is_promised_is_tried():
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    for version in ("3.11", "3.12", "3.13", "3.14"):
        assert f'"{version}"' in workflow
    clients = (ROOT / "tests" / "contract" / "test_clients.py").read_text()
    assert set(re.findall(r"kubernetes==(\d+)", clients)) == {"35", "36", "37"}
