"""One progress bar for everything that takes time, wherever the lab runs.

A terminal gets a bar on standard error (standard output stays for results), Jupyter one line that
is updated in place. Silent when nobody watches: no terminal, under pytest and nbval (which compare
outputs), or with LAB_QUIET=1. Never sleeps and never fails the work it shows.
"""

import html
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NOTEBOOK_PERIOD_S = 0.25


class Bar:
    """What is told how far the work is; this one shows nothing."""

    def reach(self, done: float, total: float | None = None) -> None:
        """Show that `done` of `total` is done (the total of before, if None)."""

    def say(self, note: str) -> None:
        """Show in a few words what is being done."""

    def show(self, draw: Callable[[], str]) -> None:
        """Show a small chart where there is room for one.

        Args:
            draw: Gives the chart of now as HTML; called when it is drawn, and only then.
        """


@contextmanager
def track(title: str, total: float | None = None, *, show: bool = True) -> Iterator[Bar]:
    """Show progress while the context lasts.

    Args:
        title: What is being done: "Loading the image".
        total: How much there is to do; None if nobody knows.
        show: False for silence.

    Yields:
        The bar. `bar.say` and `bar.reach` fit wherever a callback for progress is wanted.
    """
    if not show or is_quiet():
        yield Bar()
    elif _in_notebook():
        bar = _NotebookBar(title, total)
        yield bar
        bar.draw()
    elif sys.stderr.isatty():
        yield from _track_in_terminal(title, total)
    else:
        yield Bar()


def is_quiet() -> bool:
    """Tell whether progress is switched off: LAB_QUIET=1, or under pytest (nbval's kernels too)."""
    return os.environ.get("LAB_QUIET", "0") not in ("", "0") or "PYTEST_VERSION" in os.environ


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")  # where it is not loaded there is no notebook
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _TerminalBar(Bar):
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def reach(self, done: float, total: float | None = None) -> None:
        self._progress.update(self._task, completed=done, total=total)

    def say(self, note: str) -> None:
        self._progress.update(self._task, note=note)


def _track_in_terminal(title: str, total: float | None) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _TerminalBar(progress, progress.add_task(title, total=total, note=""))


class _NotebookBar(Bar):
    """One output that is replaced: needs no widgets, so it works in every front end."""

    def __init__(self, title: str, total: float | None) -> None:
        from IPython import display

        self._title, self._total, self._done, self._note = title, total, 0.0, ""
        self._start_s = self._drawn_s = time.monotonic()
        self._chart: Callable[[], str] = str
        show: Any = display.display
        self._handle = show(self._bundle(), raw=True, display_id=True)

    def reach(self, done: float, total: float | None = None) -> None:
        self._done, self._total = done, total or self._total
        self._draw_soon()

    def say(self, note: str) -> None:
        self._note = note
        self._draw_soon()

    def show(self, draw: Callable[[], str]) -> None:
        self._chart = draw

    def draw(self) -> None:
        """Show the state of now."""
        self._drawn_s = time.monotonic()
        self._handle.update(self._bundle(), raw=True)

    def _draw_soon(self) -> None:
        if time.monotonic() - self._drawn_s > _NOTEBOOK_PERIOD_S:
            self.draw()

    def _bundle(self) -> dict[str, str]:
        elapsed_s = time.monotonic() - self._start_s
        text = f"{self._title} {elapsed_s:.0f} s {self._note}"
        state = f' value="{self._done}" max="{self._total}"' if self._total else ""
        bar = f'<progress aria-label="{html.escape(self._title)}"{state}></progress>'
        chart = self._chart()
        shown = f"<div>{bar} {html.escape(text)}" + (f"<br>{chart}</div>" if chart else "</div>")
        return {"text/plain": text, "text/html": shown}
