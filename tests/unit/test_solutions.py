"""Every solution quotes its exercise and calls only what is there.

`make solutions` runs them; here nothing is run, so that this takes a second.
"""

import ast
import inspect
import re
from functools import reduce

import nbformat
import pytest

import lab_utils
from lab_utils.chaos import Faults
from lab_utils.course.claims import all_claims
from lab_utils.session import Lab
from tests.tools.quote_exercises import NOTEBOOKS, SOLUTIONS, find_exercise, head, notebook_of

PATHS = sorted(SOLUTIONS.glob("*.ipynb"))
every_solution = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_every_exercise_has_its_solution():
    with_exercise = [path for path in NOTEBOOKS.glob("*.ipynb") if find_exercise(read(path))]
    assert {path.name[:2] for path in PATHS} == {path.name[:2] for path in with_exercise}


@every_solution
def test_a_solution_begins_with_its_exercise_as_the_notebook_puts_it(path):
    wanted = head(read(notebook_of(path)))
    assert read(path).cells[0].source.startswith(wanted.strip()), (
        "python -m tests.tools.quote_exercises"
    )


@every_solution
def test_a_solution_is_committed_as_run_and_checks_something(path):
    cells = code_of(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    assert re.search(r"\bassert |lab\.check\(", "\n".join(cell.source for cell in cells))
    assert path.stat().st_size <= 300_000


def calls_of(path):
    """Give (dotted name, positional arguments, names of the others) of each call of the lab."""
    tree = ast.parse("\n".join(cell.source for cell in code_of(path)))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if re.fullmatch(r"lab(\.\w+)+", name):
            starred = any(isinstance(arg, ast.Starred) for arg in call.args)
            named = [keyword.arg for keyword in call.keywords]
            yield name.split(".")[1:], len(call.args) if not starred else 0, named


def find(parts):
    """Look a name up without starting a lab: its methods are those of the session."""
    first, *rest = parts
    if first == "faults":
        return reduce(getattr, rest, Faults)
    owner = Lab if hasattr(Lab, first) else lab_utils
    return reduce(getattr, parts, owner)


@every_solution
def test_a_solution_calls_only_what_is_there_and_as_it_is_declared(path):
    for parts, positional, named in calls_of(path):
        called = find(parts)
        bound = inspect.isfunction(called) and parts[0] in {"faults", *vars(Lab)}
        known = dict.fromkeys(name for name in named if name is not None)
        inspect.signature(called).bind_partial(*[None] * (positional + bound), **known)


@every_solution
def test_a_solution_decides_claims_that_exist(path):
    text = "\n".join(cell.source for cell in code_of(path))
    assert set(re.findall(r'lab\.check\(\s*"(\d\d\.\d+)"', text)) <= set(all_claims())
