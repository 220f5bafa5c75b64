"""What a learner reads who runs a cell too early, or gives the lab something it cannot use."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from lab_utils import kernel

NOTEBOOKS = sorted(Path(__file__).resolve().parents[2].glob("notebooks/[0-9][0-9]_*.ipynb"))
ABOVE = "everything above with Run ▸ Run All Above Selected Cell."


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Give a small notebook on disk."""
    path = tmp_path_factory.mktemp("course") / "course.ipynb"
    cells = [
        new_markdown_cell("# 99 · A title\n\nsome prose"),
        new_code_cell("import lab_utils as lab\nfrom math import pi"),
        new_markdown_cell("## Steady state"),
        new_code_cell("count = 3\nsteady = [\n    count\n]"),
        new_code_cell("%matplotlib inline"),
        new_code_cell("for step in steady:\n    last = step"),
    ]
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("lab", "run the cell under “99 · A title” before this one, `import lab_utils as lab`"),
        ("pi", "before this one, `from math import pi`, or everything above"),
        ("steady", "run the cell under “Steady state” before this one, `steady = [`"),
        ("last", "run the cell under “Steady state” before this one, `for step in steady:`"),
        ("stedy", "no cell of this notebook makes it: did you mean steady?"),
        ("qqqqqqq", "no cell of this notebook makes it: look at its spelling."),
    ],
)
def test_a_missing_name_is_told_with_the_cell_that_makes_it(course, name, sentence):
    assert sentence in kernel.explain(name, course, known=[])


def test_without_a_notebook_on_disk_the_way_out_is_told_all_the_same(tmp_path):
    for notebook in (None, tmp_path / "gone.ipynb"):
        said = kernel.explain("steady", notebook, known=[])
        assert said == f"steady is not there yet: run the cell that makes it, or {ABOVE}"


def run(path: Path, sources: Sequence[str]) -> list[str]:
    """Run cells of a notebook in a new kernel, and give the traceback that each showed."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        allow_errors=True,
        extra_arguments=["--ext=lab_utils.kernel", "--log-level=ERROR"],
    )
    client.execute(env=os.environ | {"JPY_SESSION_NAME": str(path)})
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    return ["\n".join(output.traceback) for output in outputs if "traceback" in output]


@pytest.fixture(scope="module")
def errors(course):
    sources = (
        "steady[0]",
        "import lab_utils as lab\nlab.predict('99.9', 3)",
        "raise ValueError('mine')",
    )
    return run(course, sources)


def test_a_cell_run_too_early_says_what_to_run_first_instead_of_a_traceback(errors, course):
    assert errors[0] == kernel.explain("steady", course, known=[])


def test_an_error_of_the_lab_is_the_line_and_the_sentence(errors):
    line, _, sentence = errors[1].partition("\n\n")
    assert line == "lab.predict('99.9', 3)"
    assert sentence.startswith("InvalidInput: There is no check '99.9': want one of 00.1")


def test_an_error_of_the_learners_own_keeps_its_traceback(errors):
    assert "Traceback (most recent call last)" in errors[2]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_after_a_restart_every_cell_of_the_course_says_what_to_run_first(path):
    cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    errors = run(path, [source for source in cells if "import " not in source])
    assert len(errors) >= len(cells) - 4
    assert [error for error in errors if "before this one, `" not in error] == []


def test_it_is_installed_once_beside_what_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    path = tmp_path / "etc" / "ipython" / "ipython_kernel_config.py"
    path.parent.mkdir(parents=True)
    path.write_text("# somebody's own\n")
    assert kernel.install() == kernel.install() == path
    assert path.read_text().startswith("# somebody's own\n")
    assert path.read_text().count('lab_utils.kernel")') == 1
