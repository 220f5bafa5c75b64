"""A chart in words, for those who do not see it: taken from the chart itself, so that both agree.

A notebook's figure carries them where front ends look: as the image's alternative text in HTML, in
the metadata of the PNG, and in place of "<Figure size 700x320>".
"""

import html
import sys
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def describe(figure: Figure) -> str:
    """Say what a figure shows: of each panel its title, which is the finding, its axes and marks.

    Args:
        figure: With one or more panels.
    """
    panels = [words for ax in figure.axes if (words := _describe_panel(ax))]
    if len(panels) == 1:
        return f"Chart. {panels[0]}"
    numbered = [f"Panel {number}: {words}" for number, words in enumerate(panels, 1)]
    return f"Chart of {len(panels)} panels. " + " ".join(numbered)


def _describe_panel(ax: Axes) -> str:
    titles = [title for where in ("left", "center", "right") if (title := ax.get_title(where))]
    axes = " over ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
    _, labels = ax.get_legend_handles_labels()
    written = [text.get_text() for text in ax.texts]
    marks = dict.fromkeys(_one_line(text) for text in (*labels, *written) if text.strip())
    shown = "Shows " + ", ".join(marks) if marks else ""
    return " ".join(f"{_one_line(part)}." for part in (*titles, axes, shown) if part)


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")


def speak_in_notebooks() -> None:
    """Have this kernel show every figure with its words; nothing happens outside a notebook."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return
    from matplotlib_inline import backend_inline  # noqa: F401 - registers its own PNG on import

    formatters = shell.display_formatter
    formatters.formatters["image/png"].pop(Figure, None)
    formatters.mimebundle_formatter.for_type(Figure, _bundle)


def _bundle(figure: Figure, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
    """Give a figure as front ends want it, drawn once; JupyterLab takes the HTML for its text."""
    from IPython.core import pylabtools
    from matplotlib_inline.config import InlineBackend

    options = InlineBackend.instance().print_figure_kwargs
    draw: Any = pylabtools.print_figure
    png = draw(figure, fmt="png", base64=True, **options)
    words = describe(figure)
    image = f'<img alt="{html.escape(words)}" src="data:image/png;base64,{png}">'
    bundle = {"text/html": image, "image/png": png, "text/plain": words}
    return bundle, {"image/png": {"alt": words}}
