"""What a notebook's kernel adds for a learner: a cell run too early says which one to run first.

Every kernel of this environment loads it as an IPython extension once `python -m lab_utils.kernel`
has said so, as `make setup` and Binder do: after a restart nothing has imported the lab yet. Never
touches an error of the learner's own code that is not about a missing name.
"""

import ast
import difflib
import json
import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

_ABOVE = "everything above with Run ▸ Run All Above Selected Cell"
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

_CONFIG = """# Written by `python -m lab_utils.kernel`: a cell run too early says what to run first.
c = get_config()
c.InteractiveShellApp.extensions.append("lab_utils.kernel")
"""


def install() -> Path:
    """Have every kernel of this environment load this module; a second time changes nothing.

    Returns:
        The file that IPython reads, in the environment's own folder and not in anybody's home.

    Source:
        IPython, configuration of an environment: `<sys.prefix>/etc/ipython`.
    """
    path = Path(sys.prefix, "etc", "ipython", "ipython_kernel_config.py")
    path.parent.mkdir(parents=True, exist_ok=True)
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if _CONFIG not in there:
        path.write_text(there + _CONFIG, encoding="utf-8")
    return path


def load_ipython_extension(shell: Any) -> None:
    """Have a shell explain missing names; IPython calls this when the kernel starts."""
    shell.set_custom_exc((NameError,), _show)


def _show(
    shell: Any, kind: type[BaseException], error: NameError, trace: Any, tb_offset: Any = None
) -> None:
    if kind is NameError and error.name and _last_globals(trace) is shell.user_ns:
        sentence = explain(error.name, _notebook_of(shell), known=list(shell.user_ns))
        error._render_traceback_ = lambda: [sentence]  # type: ignore[attr-defined]
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def explain(name: str, notebook: Path | None, *, known: list[str]) -> str:
    """Say in one sentence how to get a name that is missing.

    Args:
        name: What a cell has asked for.
        notebook: Where the cell is; None if nobody knows.
        known: The names that are there.
    """
    cells = _read(notebook)
    makers = [(title, line) for title, source in cells if (line := _line_making(name, source))]
    if makers:
        title, line = makers[0]
        return (
            f"{name} is not there yet: run the cell under “{title}” before this one, `{line}`, "
            f"or {_ABOVE}."
        )
    if not cells:
        return f"{name} is not there yet: run the cell that makes it, or {_ABOVE}."
    others = {other for _, source in cells for other in _names_of(source)} | {*known}
    near = difflib.get_close_matches(name, sorted(others), n=1)
    return f"{name} is not there, and no cell of this notebook makes it: " + (
        f"did you mean {near[0]}?" if near else "look at its spelling."
    )


def _last_globals(trace: TracebackType) -> dict[str, Any]:
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_globals


def _notebook_of(shell: Any) -> Path | None:
    """Find the notebook's file: Jupyter's server says it, and so does VS Code."""
    path = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__")
    return Path(path) if path else None


def _read(notebook: Path | None) -> list[tuple[str, str]]:
    """Give heading and source of each code cell; nothing of a file that cannot be read."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"] if notebook else []
    except (OSError, ValueError, KeyError):
        return []
    found, title = [], "its first heading"
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found.append((title, source))
        elif headings := _HEADING.findall(source):
            title = headings[-1]
    return found


def _line_making(name: str, source: str) -> str:
    """Give the first line of the statement that makes a name; empty if none does."""
    node = _names_of(source).get(name)
    return source.splitlines()[node.lineno - 1].strip() if node is not None else ""


def _names_of(source: str) -> dict[str, ast.stmt]:
    """Find the names that a cell makes, each with the first statement that does."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a learner's draft, or a magic
        return {}
    made: dict[str, ast.stmt] = {}
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.alias):
                made.setdefault((node.asname or node.name).partition(".")[0], statement)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                made.setdefault(node.id, statement)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                made.setdefault(node.name, statement)
    return made


if __name__ == "__main__":
    install()
