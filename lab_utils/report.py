"""A run as one page that opens without a server, and as files for other programs.

Writes `index.html` with its figures inside, the same figures as PNG, the run itself (Run.load reads
the folder) and `summary.json`. Replaces a report that is there as a whole; never any other folder.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lab_utils import analysis, charts
from lab_utils.errors import InvalidInput
from lab_utils.page import draw, render
from lab_utils.runs import Run

_MARK = "summary.json"
_FIGURES: dict[str, tuple[str, Callable[[Run], Any]]] = {
    "failover": (
        "Every request when it was due, with how long its answer took; a black cross is a request "
        "without an answer. Below: who answered, second by second.",
        charts.failover,
    ),
    "histogram": ("How the latencies of the answers are spread.", charts.histogram),
    "ccdf": (
        "The tail: which share of the answers took longer, on a logarithmic axis.",
        lambda run: charts.ccdf({"all answers": run}),
    ),
    "parts": ("What the time of each answered request is made of.", charts.parts),
    "shares": (
        "How the Service spread the requests, with the band that chance alone explains.",
        charts.shares,
    ),
    "usage": ("What each pod used, against the limits of its manifest.", charts.usage),
    "rollout": ("Failed requests over the number of pods that were ready.", charts.rollout),
}


def write_report(
    run: Run,
    folder: str | Path = "report",
    *,
    title: str = "A run, measured",
    findings: Sequence[str] = (),
    summary: Mapping[str, Any] | None = None,
    fidelity: pd.DataFrame | None = None,
) -> Path:
    """Write everything about a run as one page, with its figures and tables.

    Args:
        run: What was measured.
        folder: Made, or replaced if it is a report.
        title: Of the page.
        findings: One sentence each, before the figures.
        summary: The figures, analysis.summarize() by default; as they are in summary.json.
        fidelity: What is real and what is emulated where the run was made (lab.fidelity()).

    Returns:
        The page. It needs no server and no other file.

    Raises:
        InvalidInput: The folder is there and is something else.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise InvalidInput(f"{folder} is not a report: name a folder that does not exist yet")
    figures = dict(analysis.summarize(run) if summary is None else summary)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        run.save(partial)
        images = _save_figures(partial, run)
        tables = _tables(run, figures) | ({} if fidelity is None else {_FIDELITY: fidelity})
        said = [*([] if run.validity.valid else [run.validity.text]), *findings]
        page = render(title, findings=said, figures=images, tables=tables)
        (partial / "index.html").write_text(page, encoding="utf-8")
        (partial / _MARK).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder / "index.html"


def _save_figures(folder: Path, run: Run) -> dict[str, bytes]:
    images = {}
    for name, (caption, chart) in _FIGURES.items():
        with charts.style():
            drawn = chart(run)
            images[caption] = draw((drawn[0] if isinstance(drawn, list) else drawn).figure)
        (folder / f"{name}.png").write_bytes(images[caption])
    return images


_FIDELITY = "What is real and what is emulated"


def _tables(run: Run, figures: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Give the tables of the page by their captions; those without rows are left out."""
    tables = {
        "Figures": pd.DataFrame(figures.items(), columns=["figure", "value"]),
        "Percentiles of the answers, with 95 % intervals": _percentiles(run),
        "Shares of the answers, and the band of a random choice": analysis.shares(run.requests),
        "Failed requests by class": analysis.errors(run.requests),
        "Outages and their phases": run.outages,
        "Faults": run.faults,
        "Gaps in what was seen of the cluster": run.gaps,
        "Events of the cluster": run.events,
        "Settings of the load": pd.DataFrame(run.settings.items(), columns=["setting", "value"]),
    }
    return {caption: table for caption, table in tables.items() if len(table)}


def _percentiles(run: Run) -> pd.DataFrame:
    answered = run.requests[run.requests["ok"]]
    if answered.empty:
        return pd.DataFrame()
    groups = [("everyone", answered["latency_s"]), *answered.groupby("role")["latency_s"]]
    found = [analysis.percentiles(latency_s).assign(of=role) for role, latency_s in groups]
    table = pd.concat(found, ignore_index=True)
    return table[["of", "quantile", "latency_s", "low_s", "high_s", "n"]]
