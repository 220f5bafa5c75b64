"""A run as one page that opens without a server, and as files for other programs.

Writes `index.html` with its figures inside, the same figures as PNG, the run's tables as CSV and
`summary.json`. Replaces a report that is there as a whole; never any other folder.
"""

import base64
import html
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from lab_utils import charts
from lab_utils.errors import InvalidInput
from lab_utils.runs import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MARK = "summary.json"
_PAGE = Path(__file__).with_name("report.html")
_CAPTIONS = {
    "failover": "Every request when it was due, with how long its answer took; a black cross is a "
    "request without an answer. Below: who answered, second by second.",
    "usage": "What each pod used, against the limits of its manifest.",
    "shares": "How the Service spread the requests, with the band that chance alone explains.",
}


def write_report(
    folder: Path,
    run: Run,
    summary: Mapping[str, Any],
    findings: Sequence[str],
    fidelity: "pd.DataFrame",
) -> None:
    """Write a run's report.

    Args:
        folder: Made, or replaced if it is a report.
        run: What was measured.
        summary: The figures; written as they are to summary.json.
        findings: One sentence each.
        fidelity: What is real and what is emulated where the run was made.

    Raises:
        InvalidInput: The folder is there and is something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise InvalidInput(f"{folder} is not a report: name a folder that does not exist yet")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        run.save(partial)
        figures = _save_figures(partial, run)
        page = _page(findings, figures, summary, fidelity)
        (partial / "index.html").write_text(page, encoding="utf-8")
        (partial / _MARK).write_text(json.dumps(dict(summary), indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _save_figures(folder: Path, run: Run) -> dict[str, bytes]:
    import matplotlib.pyplot as plt

    images = {}
    with plt.rc_context():
        charts.use_style()
        for name in _CAPTIONS:
            drawn = getattr(charts, name)(run)
            figure = (drawn[0] if isinstance(drawn, list) else drawn).figure
            images[name] = _png(figure)
            plt.close(figure)
            (folder / f"{name}.png").write_bytes(images[name])
    return images


def _png(figure: "Figure") -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150)
    return stream.getvalue()


def _page(
    findings: Sequence[str],
    figures: Mapping[str, bytes],
    summary: Mapping[str, Any],
    fidelity: "pd.DataFrame",
) -> str:
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title="A failover, measured",
        findings="".join(f"<li>{html.escape(finding)}</li>" for finding in findings),
        figures="".join(_figure_html(name, image) for name, image in figures.items()),
        numbers=_table_html(("figure", "value"), list(summary.items())),
        fidelity=_table_html(tuple(fidelity.columns), fidelity.values.tolist()),
    )


def _figure_html(name: str, image: bytes) -> str:
    caption = html.escape(_CAPTIONS[name])
    source = "data:image/png;base64," + base64.b64encode(image).decode()
    image_html = f'<img alt="{caption}" src="{source}">'
    return f"<figure>{image_html}<figcaption>{caption}</figcaption></figure>"


def _table_html(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{html.escape(str(column))}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_text(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
