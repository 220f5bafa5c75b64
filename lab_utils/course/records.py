"""A learner's file: every prediction and every verdict, one line of JSON each, never rewritten.

Safe against what happens in a class: a cell run twice adds a line, two kernels write in turn, and
of a line cut short by a crash nothing but that line is lost. Holds no name: a learner is a random
number, drawn when the file is begun.
"""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_utils.errors import InvalidInput

FILE = "learner.jsonl"
_FORMAT = 1

Record = dict[str, Any]


class Records:
    """The learner's file in one folder; nothing is made before the first line is written.

    Args:
        folder: Where results are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def append(self, kind: str, check: str, **fields: Any) -> Record:
        """Add a line, on disk before this returns.

        Args:
            kind: "prediction" or "verdict".
            check: Which one, such as "07.2".
            fields: What else there is to say, as JSON takes it.

        Returns:
            The line as it was written, with the time.

        Raises:
            InvalidInput: The folder cannot be written; says which variable to set.
        """
        at = datetime.now(UTC).isoformat(timespec="seconds")
        record = {"kind": kind, "check": check, "at": at, **fields}
        with self._explained(), self._locked() as file:
            size = os.fstat(file).st_size
            lines = b""
            if size == 0:
                lines = _line({"kind": "learner", "id": secrets.token_hex(8), "format": _FORMAT})
            elif os.pread(file, 1, size - 1) != b"\n":
                lines = b"\n"  # ends the line that a crash cut short
            _write(file, lines + _line(record), size)
        return record

    def read(self) -> list[Record]:
        """Give every whole line, oldest first, each with its learner.

        Raises:
            InvalidInput: It is not a learner's file, or one of a later lab.
        """
        return read_records(self.path) if self.path.exists() else []

    def latest(self, kind: str) -> dict[str, Record]:
        """Give the newest record of a kind for each check."""
        return {record["check"]: record for record in self.read() if record["kind"] == kind}

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise InvalidInput(
                f"Your results cannot be kept in {self.path.parent}: {exc.strerror}. "
                "Set LAB_RESULTS_DIR to a folder you can write to."
            ) from exc


def read_records(path: Path) -> list[Record]:
    """Read a learner's file, whoever wrote it.

    Returns:
        Every whole line but the first, oldest first, each with its `learner`.

    Raises:
        InvalidInput: It is not a learner's file, or one of a later lab.
    """
    lines = [line for line in map(_parse, path.read_bytes().splitlines()) if line]
    head = lines[0] if lines else {}
    if head.get("kind") != "learner":
        raise InvalidInput(f"{path} is not a learner's file: want one named {FILE} from results/")
    if head.get("format") != _FORMAT:
        raise InvalidInput(f"{path} was written by a later lab: update the lab to read it")
    return [line | {"learner": head["id"]} for line in lines[1:]]


def _parse(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _line(record: Record) -> bytes:
    return json.dumps(record, allow_nan=False).encode() + b"\n"


def _write(file: int, lines: bytes, size: int) -> None:
    """Append to a file of this size, as a whole or not at all."""
    try:
        if os.write(file, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise
