"""Run notebooks without a browser, as `lab run` and `make notebooks` do.

Each notebook runs in a kernel of its own whose working folder is the notebook's, as in JupyterLab.
"""

import base64
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab_utils.errors import InvalidInput, LabError
from lab_utils.settings import load_settings, project_root

_CELL_TIMEOUT_S = 180


class NotebookFailed(LabError):
    """A cell of a notebook raised; the message names notebook and cell."""


def run_notebooks(
    names: Sequence[str],
    *,
    profile: str | None = None,
    backend: str | None = None,
    save: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Run notebooks top to bottom, in the order of their numbers.

    Args:
        names: Numbers or beginnings of names ("07"); all notebooks if empty.
        profile: "full" or "quick"; the setting LAB_PROFILE if None.
        backend: As the setting LAB_BACKEND.
        save: Whether to write the outputs into the notebooks.
        say: Told a line per notebook.

    Raises:
        InvalidInput: There is no such notebook.
        NotebookFailed: A cell raised; the others are not run.
    """
    settings = load_settings(profile=profile, backend=backend)
    paths = find_notebooks(names)
    chosen = {"LAB_PROFILE": settings.profile, "LAB_BACKEND": settings.backend}
    quiet = {"LAB_QUIET": "1"} if save else {}  # a progress bar is nothing to keep
    for number, path in enumerate(paths, 1):
        say(f"[{number}/{len(paths)}] {path.name} ...")
        started_s = time.monotonic()
        _run(path, env=os.environ | chosen | quiet, save=save)
        say(f"[{number}/{len(paths)}] {path.name} ok, {time.monotonic() - started_s:.0f} s")


def find_notebooks(names: Sequence[str]) -> list[Path]:
    """Find notebooks by number or beginning of name; all, in order, if no name is given.

    Raises:
        InvalidInput: A name fits none; lists those there are.
    """
    folder = project_root() / "notebooks"
    there = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    chosen = []
    for name in names or [""]:
        fitting = [path for path in there if path.name.startswith(name)]
        if not fitting:
            known = ", ".join(path.stem for path in there)
            raise InvalidInput(f"There is no notebook {name!r}: want one of {known}, or its number")
        chosen += fitting
    return sorted(set(chosen))


def _run(path: Path, *, env: Mapping[str, str], save: bool) -> None:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=_CELL_TIMEOUT_S,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute(env=env)
    except CellExecutionError as exc:
        number, source = _failed_cell(notebook)
        raise NotebookFailed(
            f"{path.name}, cell {number} failed with {exc.ename}: {exc.evalue}\n{source}"
        ) from exc
    except (CellTimeoutError, DeadKernelError) as exc:
        raise NotebookFailed(f"{path.name} stopped: {exc}. Look with `lab status`.") from exc
    if save:
        _tidy(notebook)
        nbformat.write(notebook, path)


def _failed_cell(notebook: Any) -> tuple[int, str]:
    cells = notebook.cells
    for number, cell in enumerate(cells, 1):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return number, cell.source
    return len(cells), ""


def _tidy(notebook: Any) -> None:
    """Leave out when each cell ran, which makes every run a change, and shrink the figures."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _shrink(output.data["image/png"])


def _shrink(png_base64: str) -> str:
    """Give a PNG a palette: a third of the size, and the same to the eye."""
    from PIL import Image

    stream = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png_base64))) as image:
        image.convert("RGB").quantize(64).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
