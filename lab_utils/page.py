"""One HTML page that opens without a server and needs no other file: findings, figures, tables."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_PAGE = Path(__file__).with_name("page.html")
_MOST_ROWS = 200


def draw(figure: "Figure") -> bytes:
    """Give a figure as PNG and close it."""
    import matplotlib.pyplot as plt

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=150)
    plt.close(figure)
    return stream.getvalue()


def render(
    title: str,
    *,
    findings: Sequence[str] = (),
    figures: Mapping[str, bytes],
    tables: "Mapping[str, pd.DataFrame]",
) -> str:
    """Write the page.

    Args:
        title: Of the page.
        findings: One sentence each, before the figures.
        figures: PNG by caption; the caption is what a screen reader says, too.
        tables: By caption; of a long one the first rows.
    """
    listed = "".join(f"<li>{html.escape(finding)}</li>" for finding in findings)
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        findings=f"<h2>Findings</h2><ol>{listed}</ol>" if findings else "",
        figures="".join(_figure_html(caption, image) for caption, image in figures.items()),
        tables="".join(_table_html(caption, table) for caption, table in tables.items()),
    )


def _figure_html(caption: str, image: bytes) -> str:
    caption = html.escape(caption)
    source = "data:image/png;base64," + base64.b64encode(image).decode()
    image_html = f'<img alt="{caption}" src="{source}">'
    return f"<figure>{image_html}<figcaption>{caption}</figcaption></figure>"


def _table_html(caption: str, table: "pd.DataFrame") -> str:
    head = "".join(f'<th scope="col">{html.escape(str(column))}</th>' for column in table)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_text(cell))}</td>" for cell in row) + "</tr>"
        for row in table.head(_MOST_ROWS).to_numpy(dtype=object)
    )
    more = f", the first {_MOST_ROWS} of {len(table):,}" if len(table) > _MOST_ROWS else ""
    caption = f"<caption>{html.escape(caption)}{more}</caption>"
    table_html = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table_html}</div>'


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if value is None or value != value:  # nan is not itself
        return "n/a"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
