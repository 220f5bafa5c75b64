"""A finished run: its tables, and all that is needed to judge them or to repeat it.

Saved as one folder: a CSV file per table and `run.json`. Floats are written so that they read back
as the same bits. Never overwrites a folder that is not a run. A folder that holds only a journal is
a run whose kernel died: it loads as what was left of it.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lab_utils import analysis, comparison
from lab_utils.errors import InvalidInput
from lab_utils.journal import JOURNAL, Journal, read_journal, tabulate
from lab_utils.tables import SCHEMAS, make_table
from lab_utils.validity import Validity, judge

FORMAT = 2
"""Version of the folder's layout; 1 had no tables of states, gaps and the kubelet's figures."""


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What one run of load has shown.

    Attributes:
        requests: One row per request that left.
        attempts: One row per attempt of a request.
        usage: Samples of the pods' resources.
        events: The cluster's own account.
        faults: What was made to go wrong.
        outages: When requests failed.
        schedule: When requests were due, fixed before the run; empty for a closed loop.
        states: When pods, endpoints and nodes became ready, or no longer were.
        kubelet: The kubelet's own figures, every 10 to 15 s: the cross-check of usage.
        gaps: When the cluster could not be watched.
        settings: How the load was made: rate, arrivals, time-outs, ...
        seed: What the schedule follows from.
        started_at: Wall time of 0 s, in UTC.
        backend: What the cluster was.
        versions: Of Python and of the libraries that matter.
        interrupted: Whether the run ended before its time, so that its tables are a part.
    """

    requests: pd.DataFrame
    attempts: pd.DataFrame
    usage: pd.DataFrame
    events: pd.DataFrame
    faults: pd.DataFrame
    outages: pd.DataFrame
    schedule: pd.DataFrame
    states: pd.DataFrame
    kubelet: pd.DataFrame
    gaps: pd.DataFrame
    settings: dict[str, Any]
    seed: int
    started_at: datetime
    backend: str
    versions: dict[str, str]
    interrupted: bool

    def __eq__(self, other: object) -> bool:
        """Compare tables and everything else, NaN equal to NaN."""
        if not isinstance(other, Run):
            return NotImplemented
        same_tables = all(getattr(self, name).equals(getattr(other, name)) for name in SCHEMAS)
        return same_tables and self._about() == other._about()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Say the main figures in one line."""
        cut = (", interrupted" if self.interrupted else "") + (
            "" if self.validity.valid else f", {self.validity.text}"
        )
        return (
            f"Run({len(self.requests):,} requests, {int(self.requests['ok'].sum()):,} ok, "
            f"{len(self.outages)} outages, seed {self.seed}{cut})"
        )

    @cached_property
    def validity(self) -> Validity:
        """Whether the load was what it claims to be; `validity.text` says why not."""
        return judge(self.requests, self.schedule, self.settings)

    def compare(self, other: "Run") -> pd.DataFrame:
        """Set this run beside another.

        Returns:
            One row per figure: see `lab_utils.comparison.compare`.
        """
        return comparison.compare(self, other)

    def merge(self, *others: "Run") -> "Run":
        """Join this run with others, such as the shares of one schedule: see `comparison.merge`."""
        return comparison.merge((self, *others))

    def of(self, role: str) -> "Run":
        """Give the part of this run that one role answered, to set beside the whole of it."""
        return comparison.pick_role(self, role)

    def _about(self) -> dict[str, Any]:
        about = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in SCHEMAS}
        return about | {"started_at": self.started_at.isoformat()}

    def save(self, folder: str | Path) -> Path:
        """Write the run to a folder, as a whole or not at all; replaces a run that is there.

        Raises:
            InvalidInput: The folder holds something else, or cannot be written to.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / "run.json").is_file():
            raise InvalidInput(f"{folder} is not a run: save to a folder that does not exist yet")
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._write(partial)
            _swap(partial, folder)
        except OSError as exc:
            raise InvalidInput(
                f"The run cannot be saved to {folder}: {exc.strerror}. What was there is "
                "unchanged; make room or name another folder."
            ) from exc
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return folder

    def _write(self, folder: Path) -> None:
        folder.mkdir()
        for name in SCHEMAS:
            getattr(self, name).to_csv(folder / f"{name}.csv", index=False)
        about = {"format": FORMAT} | self._about()
        (folder / "run.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "Run":
        """Read a run that save() wrote (it equals the one that was saved), or a run's journal.

        Raises:
            InvalidInput: There is no run in the folder, or it is from a later version of the lab.
        """
        folder = Path(folder)
        if (folder / JOURNAL).is_file() and not (folder / "run.json").exists():
            with open(folder / JOURNAL, encoding="utf-8") as lines:
                return recover(read_journal(lines))
        try:
            about: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise InvalidInput(f"{folder} is not a run: no readable run.json in it") from exc
        if (version := about.pop("format")) > FORMAT:
            raise InvalidInput(f"{folder} is a run of a later lab: update the lab to read it")
        about["started_at"] = datetime.fromisoformat(about["started_at"])
        tables = {name: _read(folder / f"{name}.csv", name, version) for name in SCHEMAS}
        return cls(**about | tables)


def recover(journal: Journal, **tables: pd.DataFrame) -> Run:
    """Make the run that a generator has told of.

    Args:
        journal: What it told.
        tables: What else is known; the tables of requests follow from the journal.
    """
    requests, attempts = tabulate(journal.rows)
    plan, about = journal.plan, journal.plan["about"]
    numbers = plan["first"] + plan["step"] * np.arange(len(plan["scheduled_s"]))
    schedule = pd.DataFrame({"request_id": numbers, "scheduled_s": plan["scheduled_s"]})
    client = {name: value for name, value in journal.end.items() if name != "interrupted"}
    found = {
        "requests": requests,
        "attempts": attempts,
        "schedule": make_table("schedule", schedule),
    }
    known = {name: make_table(name) for name in SCHEMAS} | tables | found
    return Run(
        **known | {"outages": analysis.tell_outages(known)},
        settings=about["settings"] | {"client": client},
        seed=plan["seed"],
        started_at=journal.clock.started_at,
        backend=about["backend"],
        versions=about["versions"],
        interrupted=journal.end.get("interrupted", True),
    )


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int64": int,
    "float64": lambda text: float(text or "nan"),
    "bool": lambda text: text == "True",
    "str": str,
}


def _read(path: Path, name: str, version: int) -> pd.DataFrame:
    if version == 1 and not path.exists():
        return make_table(name)
    # As text first: Python's float() is exact, read_csv's own default is not in every version.
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for column, dtype in SCHEMAS[name].items():
        if version == 1 and column not in table:
            continue
        table[column] = [_PARSERS[dtype](text) for text in table[column]]
    return make_table(name, table)


def _swap(new: Path, folder: Path) -> None:
    """Put a finished folder in its place; a rename cannot replace a folder that has files."""
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_name(new.name + ".old")
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old)
