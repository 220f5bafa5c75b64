"""Run notebooks without a browser, as `lab run` and `make notebooks` do.

Each notebook runs in a kernel of its own whose working folder is the notebook's, as in JupyterLab.
Never stops at a verdict that is UNKNOWN: it says nothing against the notebook.
"""

import asyncio
import base64
import io
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab_utils.bars import Bar, track
from lab_utils.errors import InvalidInput, LabError
from lab_utils.settings import load_settings, project_root

_CELL_TIMEOUT_S = 180
_VERDICT = re.compile(r"^(PASS|FAIL|UNKNOWN) (\d\d\.\d+): ", re.MULTILINE)


class NotebookFailed(LabError):
    """A cell of a notebook raised; the message names notebook and cell."""


class NotebookStopped(LabError):
    """Somebody pressed Ctrl-C; the message says how far it had come."""


@dataclass(frozen=True)
class Outcome:
    """How one notebook went.

    Attributes:
        notebook: Its file's name.
        seconds: How long it took, the start of its kernel included.
        verdicts: PASS, FAIL or UNKNOWN by the number of the check, as far as it came.
        failure: Which cell failed and why; empty if none did.
    """

    notebook: str
    seconds: float
    verdicts: dict[str, str] = field(default_factory=dict)
    failure: str = ""

    def __str__(self) -> str:
        counts = Counter(self.verdicts.values())
        verdicts = ", ".join(f"{counts[name]} {name}" for name in sorted(counts))
        state = "failed" if self.failure else "ok"
        return f"{state}, {self.seconds:.0f} s" + (f", {verdicts}" if verdicts else "")

    def as_json(self) -> dict[str, Any]:
        """Give the same for a program."""
        return asdict(self) | {"seconds": round(self.seconds, 1), "ok": not self.failure}


def run_notebooks(
    names: Sequence[str],
    *,
    profile: str | None = None,
    backend: str | None = None,
    save: bool = False,
    keep_going: bool = False,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run notebooks top to bottom, in the order of their numbers.

    Args:
        names: Numbers or beginnings of names ("07"), or paths of files; all notebooks if empty.
        profile: "full" or "quick"; the setting LAB_PROFILE if None.
        backend: As the setting LAB_BACKEND.
        save: Whether to write the outputs into the notebooks.
        keep_going: Whether to run the others when one has failed.
        say: Told a line per notebook.

    Returns:
        One outcome per notebook that was run; the first that failed is the last unless keep_going.

    Raises:
        InvalidInput: There is no such notebook.
        NotebookStopped: By Ctrl-C or SIGTERM; its kernel has ended, the cluster runs on.
    """
    settings = load_settings(profile=profile, backend=backend)
    paths = find_notebooks(names)
    chosen = {"LAB_PROFILE": settings.profile, "LAB_BACKEND": settings.backend}
    quiet = {"LAB_QUIET": "1"} if save else {}  # a progress bar is nothing to keep
    outcomes: list[Outcome] = []
    for number, path in enumerate(paths, 1):
        place = f"[{number}/{len(paths)}] {path.stem}"
        outcomes.append(_try(path, place, env=os.environ | chosen | quiet, save=save))
        say(f"{place}: {outcomes[-1]}")
        if outcomes[-1].failure and not keep_going:
            break
    if len(outcomes) > 1:
        say(f"{len(outcomes)} notebooks in {sum(one.seconds for one in outcomes):.0f} s")
    return outcomes


def require_all(outcomes: Sequence[Outcome]) -> None:
    """Check that no notebook has failed.

    Raises:
        NotebookFailed: Some have; the message shows the cell of each.
    """
    if failures := [one.failure for one in outcomes if one.failure]:
        raise NotebookFailed("\n\n".join(failures))


def find_notebooks(names: Sequence[str]) -> list[Path]:
    """Find notebooks by number, beginning of name or path; all, in order, if no name is given.

    Raises:
        InvalidInput: A name fits none; lists those there are.
    """
    folder = project_root() / "notebooks"
    there = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    chosen = []
    for name in names or [""]:
        own = [Path(name).absolute()] if name.endswith(".ipynb") and Path(name).is_file() else []
        fitting = own or [path for path in there if path.name.startswith(name)]
        if not fitting:
            known = ", ".join(path.stem for path in there)
            raise InvalidInput(f"There is no notebook {name!r}: want one of {known}, or its number")
        chosen += fitting
    return sorted(set(chosen))


def _try(path: Path, place: str, *, env: Mapping[str, str], save: bool) -> Outcome:
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    started_s = time.monotonic()
    failure = ""
    try:
        with track(place, len(notebook.cells)) as bar:
            _Performance(notebook, path, bar).execute(env)
    except NotebookFailed as exc:
        failure = str(exc)
    else:
        if save:
            _tidy(notebook)
            nbformat.write(notebook, path)
    return Outcome(path.name, time.monotonic() - started_s, _verdicts(notebook), failure)


class _Performance:
    """One notebook while it runs: tells the bar where it is, and ends when told to."""

    def __init__(self, notebook: Any, path: Path, bar: Bar) -> None:
        from nbclient import NotebookClient

        self._notebook, self._path, self._bar = notebook, path, bar
        self._reached, self._stopped = 0, False
        self._client = NotebookClient(
            notebook,
            timeout=_CELL_TIMEOUT_S,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(path.parent)}},
            on_notebook_start=self._listen,
            on_cell_execute=self._begin,
        )

    def execute(self, env: Mapping[str, str]) -> None:
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

        name = self._path.name
        try:
            self._client.execute(env=env)
        except CellExecutionError as exc:
            self._leave_if_stopped()
            number, source = _failed_cell(self._notebook)
            raise NotebookFailed(
                f"{name}, cell {number} failed with {exc.ename}: {exc.evalue}\n{source}"
            ) from exc
        except (CellTimeoutError, DeadKernelError) as exc:
            raise NotebookFailed(f"{name} stopped: {exc}. Look with `lab status`.") from exc
        self._leave_if_stopped()

    def _begin(self, cell: Any, cell_index: int) -> None:
        self._leave_if_stopped()
        self._reached = cell_index + 1
        self._bar.reach(cell_index)
        self._bar.say(f"cell {self._reached}: {cell.source.splitlines()[0]}")

    def _listen(self, **_: Any) -> None:
        """Take the signals from nbclient, which would end the kernel in the middle of a fault."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        """Interrupt the cell, as JupyterLab's stop button does: runs end and faults are undone."""
        self._stopped = True
        manager: Any = self._client.km
        self._interrupting = asyncio.ensure_future(manager.interrupt_kernel())

    def _leave_if_stopped(self) -> None:
        if self._stopped:
            raise NotebookStopped(
                f"Stopped {self._path.name} in cell {self._reached}. The cluster runs on; "
                "`lab reset` brings it back to its known state."
            )


def _failed_cell(notebook: Any) -> tuple[int, str]:
    """Give the place of the cell that raised, counted from 1 with those of prose, and its source.

    Indented, so that it stands out from the sentence before it.
    """
    cells = notebook.cells
    for number, cell in enumerate(cells, 1):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return number, "\n".join(f"    {line}" for line in cell.source.splitlines())
    return len(cells), ""


def _verdicts(notebook: Any) -> dict[str, str]:
    """Read the verdicts off the outputs; one that failed is the text of an error."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [str(one.get("text") or one.get("evalue") or "") for one in outputs]
    return {number: outcome for text in texts for outcome, number in _VERDICT.findall(text)}


def _tidy(notebook: Any) -> None:
    """Leave out when each cell ran, which makes every run a change, and shrink the figures.

    A figure is kept as PNG alone: its HTML is the same again, and its words are in the metadata.
    """
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _shrink(output.data["image/png"])
                output.data.pop("text/html", None)


def _shrink(png_base64: str) -> str:
    """Give a PNG a palette: a third of the size, and the same to the eye."""
    from PIL import Image

    stream = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png_base64))) as image:
        image.convert("RGB").quantize(64).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
