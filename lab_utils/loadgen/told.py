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
import queue
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


class Told:
    """A thread of its own writes, so that a slow reader or disk never delays a request.

    Args:
        journal: A file to write too; None: none.

    Attributes:
        trouble: Why the journal ends early (a full disk), or "".
    """

    def __init__(self, journal: str | None) -> None:
        self.trouble = ""
        self._journal = self._open(journal) if journal else None
        self._reader: IO[str] | None = sys.stdout
        self._lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="told", daemon=True)

    def _open(self, journal: str) -> IO[str] | None:
        try:
            Path(journal).parent.mkdir(parents=True, exist_ok=True)
            return open(journal, "w", encoding="utf-8")
        except OSError as exc:
            self.trouble = f"{journal}: {exc.strerror}"
            return None

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left."""
        self._lines.put(None)
        self._thread.join()

    def tell(self, line: dict[str, Any]) -> None:
        """Have a line written; returns at once."""
        self._lines.put(line)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            text = json.dumps(line, separators=(",", ":")) + "\n"
            self._write_to_journal(text)
            if "plan" not in line:
                self._write_to_reader(text)
        self._finish()

    def _write_to_reader(self, text: str) -> None:
        """Write to the parent; one that is gone is not written to again."""
        if self._reader is None:
            return
        try:
            self._reader.write(text)
            if self._lines.empty():
                self._reader.flush()
        except OSError:
            self._reader = None

    def _write_to_journal(self, text: str) -> None:
        if self._journal is None:
            return
        try:
            self._journal.write(text)
            if self._lines.empty():
                self._journal.flush()
        except OSError as exc:
            self.trouble = f"{self._journal.name}: {exc.strerror}"
            self._journal = None

    def _finish(self) -> None:
        with contextlib.suppress(OSError):
            if self._journal is not None:
                self._journal.close()
        with contextlib.suppress(OSError):
            sys.stdout.close()  # here, because the interpreter would complain of a broken pipe
