"""Every figure has words for those who do not see it."""

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from lab_utils import charts
from lab_utils.charts.alt import describe
from lab_utils.notebooks import run_notebooks

DRAW = """
import matplotlib.pyplot as plt
import lab_utils as lab
lab.charts.use_style()
figure, ax = plt.subplots()
none = ax.set(title="Half take up to 26 ms (n = 782)", xlabel="Request latency (ms)")
"""


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_a_chart_in_words_is_its_finding_its_axes_and_its_marks():
    with charts.style():
        _, ax = plt.subplots()
        ax.plot([0, 1], [0, 1], label="primary")
        ax.set(title="INVALID: late\nHalf take 26 ms.", xlabel="Time (s)", ylabel="Latency (ms)")
        ax.text(0, 0, "kill -9")
        ax.legend()
    assert describe(ax.figure) == (
        "Chart. INVALID: late Half take 26 ms. Latency (ms) over Time (s). Shows primary, kill -9."
    )


def test_panels_are_numbered_and_empty_ones_left_out():
    _, (first, _, last) = plt.subplots(3, 1)
    first.set_title("One")
    last.set_xlabel("Time (s)")
    assert describe(first.figure) == "Chart of 2 panels. Panel 1: One. Panel 2: Time (s)."


@pytest.fixture(scope="module")
def drawn():
    """Draw in a real kernel, and give what the front end was told."""
    notebook = new_notebook(cells=[new_code_cell(DRAW)])
    client = NotebookClient(notebook, extra_arguments=["--log-level=ERROR"])
    client.execute()
    return notebook.cells[0].outputs[-1]


def test_a_notebooks_figure_has_its_words_wherever_a_front_end_looks(drawn):
    words = "Chart. Half take up to 26 ms (n = 782). Request latency (ms)."
    assert drawn.data["text/plain"] == words
    assert drawn.metadata["image/png"]["alt"] == words
    assert drawn.data["text/html"].startswith(f'<img alt="{words}" src="data:image/png;base64,')


def test_a_saved_notebook_holds_a_figure_once_and_with_its_words(tmp_path):
    path = tmp_path / "drawing.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(DRAW)]), path)
    run_notebooks([str(path)], save=True, say=str)
    figure = nbformat.read(path, 4).cells[0].outputs[-1]
    assert set(figure.data) == {"image/png", "text/plain"}
    assert "Half take up to 26 ms" in figure.metadata["image/png"]["alt"]
