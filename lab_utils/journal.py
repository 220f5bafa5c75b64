"""What a load generator has told, as tables: read while it runs, or from the file it leaves behind.

A journal is what is left of a run whose kernel died: the generator writes it line by line, and ends
it as soon as nobody listens any more.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from lab_utils.clock import Clock
from lab_utils.errors import InvalidInput
from lab_utils.tables import make_table

JOURNAL = "journal.jsonl"
"""Its name in a run's folder."""
KEPT_RUNS = 20
_TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Journal:
    """A journal that was read.

    Attributes:
        plan: What was to be done, as `loadgen.plan.Plan` writes it.
        clock: The run's clock.
        rows: One dict per finished request, in the order they finished.
        end: What the generator said last; empty if it was killed.
    """

    plan: dict[str, Any]
    clock: Clock
    rows: list[dict[str, Any]]
    end: dict[str, Any]


def read_journal(lines: Iterable[str | bytes]) -> Journal:
    """Read what a generator wrote, as far as it came.

    Args:
        lines: JSON lines as `loadgen.told` describes them; the last may be cut.

    Raises:
        InvalidInput: The plan or the clock is missing: it was never started.
    """
    told: dict[str, Any] = {}
    rows = []
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:
            break  # killed in the middle of a line: those before it count
        if "request_id" in one:
            rows.append(one)
        else:
            told |= one
    if "clock" not in told:
        raise InvalidInput("The journal has no clock: its run was never started")
    return Journal(told.get("plan", {}), Clock(**told["clock"]), rows, told.get("end", {}))


def tabulate(rows: Sequence[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of requests and attempts.

    Args:
        rows: One dict per request, as a generator tells them.

    Returns:
        requests and attempts. A request ends as the attempt does that decided it: the first that
        went well, else the last. One that the end of the run cut is cancelled.
    """
    requests: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: int(row["request_id"])):
        tried = row["attempts"]
        attempts += [{"request_id": row["request_id"]} | attempt for attempt in tried]
        requests.append(_summarize(row, tried))
    table = make_table("requests", requests)
    table["lag_s"] = table["sent_s"] - table["scheduled_s"]
    table["latency_s"] = (table["done_s"] - table["scheduled_s"]).where(table["ok"])
    return table, make_table("attempts", attempts)


def _summarize(row: dict[str, Any], tried: list[dict[str, Any]]) -> dict[str, Any]:
    decisive = tried[row["decisive"] - 1] if "decisive" in row else {"done_s": tried[-1]["done_s"]}
    return row | decisive | {
        "sent_s": tried[0]["sent_s"],
        "attempts": len(tried),
        "hedged": any(attempt["hedge"] for attempt in tried),
    }  # fmt: skip


def next_folder(root: Path) -> Path:
    """Name the folder of a new run, and delete the oldest runs of which there are too many.

    Args:
        root: Where the runs of a learner are written down; nothing else is in there.
    """
    oldest_first = sorted(root.glob(f"*/{JOURNAL}"))  # by name, which is the time they began
    for path in oldest_first[: -(KEPT_RUNS - 1)]:
        shutil.rmtree(path.parent, ignore_errors=True)
    return root / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")


def list_journals(folder: Path) -> pd.DataFrame:
    """Say which runs are in a folder of runs, the newest first.

    Returns:
        One row per run: folder, started_at (UTC), requests (that left), interrupted.
    """
    found = []
    for path in folder.glob(f"*/{JOURNAL}"):
        try:
            ends = _ends_of(path)
        except FileNotFoundError:
            continue  # a run that began meanwhile has deleted it
        if "clock" in ends:
            found.append(
                {
                    "folder": str(path.parent),
                    "started_at": Clock(**ends["clock"]).started_at,
                    "requests": ends.get("sent", 0),
                    "interrupted": ends.get("end", {}).get("interrupted", True),
                }
            )
    columns = ["folder", "started_at", "requests", "interrupted"]
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values("started_at", ascending=False, ignore_index=True)


def _ends_of(path: Path) -> dict[str, Any]:
    """Read the beginning and the end of a journal, which may be large in between."""
    with open(path, "rb") as file:
        lines = [file.readline(), file.readline()]
        file.seek(max(file.tell(), path.stat().st_size - _TAIL_BYTES))
        lines += file.readlines()
    told: dict[str, Any] = {}
    for line in lines:
        try:
            one = json.loads(line)
        except ValueError:
            continue  # cut at the end, or where the tail begins
        if "request_id" not in one:
            told |= one
    return told
