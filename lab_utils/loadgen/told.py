"""Where the process writes what happens: JSON lines, to its parent and into the run's journal.

    {"plan": {...}}                       only in the journal: what was to be done
    {"clock": {...}}                      0 s is set; the first request comes later
    {"request_id": 0, ...}                one finished request and its attempts, as it finishes
    {"sent": 120}                         how many have left, a few times a second
    {"end": {"interrupted": false, ...}}  the last line

A parent that dies takes nothing with it: what is not known from its own tables is in the journal.
"""

import contextlib
import json
import sys
from collections import deque
from pathlib import Path
from typing import IO, Any

from lab_utils.background import Background

_PERIOD_S = 0.05
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Told(Background):
    """Writes in a thread of its own, so that a slow reader or disk never delays a request.

    The thread does nothing but input and output, a few times a second: one that woke at each line
    and encoded it would fight the requests for the interpreter.

    Args:
        journal: A file to write too; None: none.

    Attributes:
        trouble: Why the journal ends early (a full disk), or "".
    """

    def __init__(self, journal: str | None) -> None:
        super().__init__("told")
        self.trouble = ""
        self._journal = self._open(journal) if journal else None
        self._reader: IO[str] | None = sys.stdout
        self._lines: deque[str] = deque()

    def _open(self, journal: str) -> IO[str] | None:
        try:
            Path(journal).parent.mkdir(parents=True, exist_ok=True)
            return open(journal, "w", encoding="utf-8")
        except OSError as exc:
            self.trouble = f"{journal}: {exc.strerror}"
            return None

    def _leave(self, *, late: bool) -> None:
        """Write what is left."""
        self._write()
        with contextlib.suppress(OSError):
            if self._journal is not None:
                self._journal.close()
        with contextlib.suppress(OSError):
            sys.stdout.close()  # here, because the interpreter would complain of a broken pipe

    def note(self, line: dict[str, Any]) -> None:
        """Write a line into the journal only, at once."""
        self._write_to_journal(_encode(line) + "\n")

    def tell(self, line: dict[str, Any]) -> None:
        """Have a line written soon; returns at once."""
        self._lines.append(_encode(line) + "\n")

    def _run(self) -> None:
        while not self._stopped.wait(_PERIOD_S):
            self._write()

    def _write(self) -> None:
        if not self._lines:
            return
        text = "".join(self._lines.popleft() for _ in range(len(self._lines)))
        self._write_to_journal(text)
        self._write_to_reader(text)

    def _write_to_reader(self, text: str) -> None:
        """Write to the parent; one that is gone is not written to again."""
        if self._reader is None:
            return
        try:
            self._reader.write(text)
            self._reader.flush()
        except OSError:
            self._reader = None

    def _write_to_journal(self, text: str) -> None:
        if self._journal is None:
            return
        try:
            self._journal.write(text)
            self._journal.flush()
        except OSError as exc:
            self.trouble = f"{self._journal.name}: {exc.strerror}"
            self._journal = None
