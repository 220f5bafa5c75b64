"""Let each solution begin with the exercise it solves, as its notebook puts it.

    python -m tests.tools.quote_exercises

The exercise is written once, in the notebook, and quoted in the first cell of
notebooks/solutions/NN_solution.ipynb; a test finds a quotation that is out of date.
"""

import re
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SOLUTIONS = NOTEBOOKS / "solutions"
_EXERCISE = re.compile(r"^## Exercise[^\n]*\n(.*?)\n(?:<details>|## )", re.DOTALL | re.MULTILINE)
_QUOTE = re.compile(r"^>.*\n?", re.MULTILINE)


def find_exercise(notebook: Any) -> str:
    """Give the exercise of a notebook without heading and hint; "" if it has none."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    found = (match for text in texts if (match := _EXERCISE.search(text)))
    return next((match.group(1).strip() for match in found), "")


def head(notebook: Any) -> str:
    """Give the title and the exercise with which the solution of a notebook begins."""
    title = notebook.cells[0].source.splitlines()[0]
    quoted = "\n".join(f"> {line}".rstrip() for line in find_exercise(notebook).splitlines())
    return f"{title}: solution\n\n{quoted}\n\n"


def notebook_of(solution: Path) -> Path:
    """Find the notebook that a solution belongs to, by its number."""
    (path,) = NOTEBOOKS.glob(f"{solution.name[:2]}_*.ipynb")
    return path


def main() -> None:
    """Renew the head of every solution."""
    for path in sorted(SOLUTIONS.glob("*.ipynb")):
        solution = nbformat.read(path, as_version=4)
        first = solution.cells[0]
        answer = _QUOTE.sub("", first.source.partition("\n")[2]).strip()
        first.source = (head(nbformat.read(notebook_of(path), as_version=4)) + answer).strip()
        nbformat.write(solution, path)


if __name__ == "__main__":
    main()
