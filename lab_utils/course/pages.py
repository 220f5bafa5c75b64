"""What a learner takes home and what a teacher looks at: one page each, without a server."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from lab_utils import charts
from lab_utils.course.records import Records
from lab_utils.course.standing import collect, find_stuck, progress
from lab_utils.errors import InvalidInput, LabError
from lab_utils.page import draw, render
from lab_utils.runs import Run

_LIBRARIES = ("k8s-inference-lab", "kubernetes", "numpy", "pandas", "matplotlib")
_MOST_RUNS = 12


def write_learner_page(records: Records, runs: Sequence[Path], page: Path) -> Path:
    """Write a learner's page: verdicts, predictions, the last runs, the environment.

    Args:
        records: The learner's file.
        runs: Folders of kept runs, the newest first; those that cannot be read are left out.
        page: The file to write, replaced as a whole.

    Returns:
        The page.

    Raises:
        InvalidInput: Nothing was predicted, checked or run yet.
    """
    standing = progress(records)
    met = standing[(standing["verdict"] != "") | standing["predicted"].notna()]
    shown = [run for folder in runs[:_MOST_RUNS] if (run := _load(folder)) is not None]
    if met.empty and not shown:
        raise InvalidInput("There is nothing to report yet: run a notebook first, such as 00")
    with charts.style():
        figures = {"Your predictions over what was measured.": _figure(charts.spread(standing))}
        for run in shown:
            started = f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC"
            figures[f"The run of {started}: {run}."] = _figure(charts.timeline(run))
    passed = int((met["verdict"] == "PASS").sum())
    findings = [f"{passed} of {len(standing)} checks of the course are passed."]
    text = render(
        "What you predicted and what was measured",
        findings=findings,
        figures=figures,
        tables={"Checks": met, "Environment": _environment()},
    )
    return _write(page, text)


def write_class_page(folder: Path, page: Path) -> Path:
    """Write a teacher's page from the learners' files of a class, and its tables beside it.

    Args:
        folder: With one learner's file each, at any depth.
        page: The file to write; `standing.csv` and `checks.csv` go into the same folder.

    Returns:
        The page.

    Raises:
        InvalidInput: There is no learner's file.
    """
    pooled = collect(folder)
    checks = find_stuck(pooled)
    with charts.style():
        figures = {
            "Every prediction over what that learner measured.": _figure(charts.spread(pooled)),
            "How many have passed each check, and where they are stuck.": _figure(
                charts.stuck(checks)
            ),
        }
    learners = pooled["learner"].nunique()
    text = render(
        "The class",
        findings=[f"{learners} learners; {len(checks)} checks were run by somebody."],
        figures=figures,
        tables={"Checks": checks},
    )
    path = _write(page, text)
    pooled.to_csv(page.with_name("standing.csv"), index=False)
    checks.to_csv(page.with_name("checks.csv"), index=False)
    return path


def _load(folder: Path) -> Run | None:
    try:
        return Run.load(folder)
    except (LabError, OSError):
        return None


def _figure(ax: Axes) -> bytes:
    return draw(ax.figure)  # type: ignore[arg-type]  # never a subfigure here


def _environment() -> pd.DataFrame:
    rows = [("python", platform.python_version()), ("system", platform.system())]
    rows += [(name, version(name)) for name in _LIBRARIES]
    return pd.DataFrame(rows, columns=["what", "version"])


def _write(page: Path, text: str) -> Path:
    page.parent.mkdir(parents=True, exist_ok=True)
    partial = page.with_name(f".{page.name}.new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)
    return page
