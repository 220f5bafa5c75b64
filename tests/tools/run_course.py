"""Run the course over and over, each time in a world of its own, and count the verdicts.

    python -m tests.tools.run_course                      # all notebooks once, in order
    python -m tests.tools.run_course 07 --rounds 20       # one notebook twenty times
    python -m tests.tools.run_course --order reverse
    python -m tests.tools.run_course --order alone        # each on a cluster of its own
    python -m tests.tools.run_course --rounds 4 --jobs 2  # two worlds at a time
    python -m tests.tools.run_course --twice              # every cell twice

A world is a cluster, a state folder and a results folder that nobody else knows, so that worlds may
run side by side; each notebook is run as `lab run` runs it. What was found is written line by line
into build/course.jsonl, so that a run cut short is not lost, and told at the end: a table of the
verdicts per claim and one of the times per notebook. Exit code 1 if a claim or a notebook failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbformat import NotebookNode

from lab_utils.course.claims import all_claims
from lab_utils.course.records import FILE, read_records
from lab_utils.notebooks import find_notebooks

ROOT = Path(__file__).resolve().parents[2]
FILE_OUT = ROOT / "build" / "course.jsonl"
ORDERS = ("forward", "reverse", "alone")
_LAB = (sys.executable, "-m", "lab_utils.cli")
_AT_MOST_S = 1800.0


@dataclass(frozen=True)
class World:
    """One cluster and the notebooks that run on it, one after the other.

    Attributes:
        name: Of the cluster.
        notebooks: Their numbers, in the order to run them.
        seed: LAB_SEED of all of them.
    """

    name: str
    notebooks: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Played:
    """One notebook that was run.

    Attributes:
        world: Where.
        notebook: Its number.
        took_s: Seconds, kernel start and cluster start included.
        error: Why it failed; "" if it did not.
        verdicts: Number of each claim that was decided, with its outcome and why.
    """

    world: str
    notebook: str
    took_s: float
    error: str
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_worlds(notebooks: Sequence[str], rounds: int, order: str, *, seeds: bool) -> list[World]:
    """Plan the worlds: one per round, or one per round and notebook if each runs alone.

    Args:
        notebooks: Their numbers.
        rounds: How often each notebook runs.
        order: One of ORDERS.
        seeds: Whether each round has a seed of its own; else all have the course's.
    """
    turn = tuple(reversed(notebooks)) if order == "reverse" else tuple(notebooks)
    shares = [(number,) for number in turn] if order == "alone" else [turn]
    return [
        World(f"course-{k}-{'-'.join(share) if order == 'alone' else order}", share, k * seeds or 1)
        for k in range(1, rounds + 1)
        for share in shares
    ]


def play(
    world: World, profile: str, stopped: threading.Event, *, twice: bool = False
) -> Iterator[Played]:
    """Run the notebooks of a world until told to stop, and end its cluster, whatever happens."""
    with tempfile.TemporaryDirectory(prefix=f"{world.name}-") as folder:
        environment = os.environ | {
            "LAB_STATE_DIR": folder,
            "LAB_CLUSTER": world.name,
            "LAB_PROFILE": profile,
            "LAB_SEED": str(world.seed),
            "LAB_QUIET": "1",
        }
        try:
            for number in world.notebooks:
                if stopped.is_set():
                    return
                results = Path(folder) / "results" / number
                what = _double(number, Path(folder)) if twice else number
                own = environment | {"LAB_RESULTS_DIR": str(results)}
                yield _run(world, number, [*_LAB, "run", what], own, results)
        finally:
            subprocess.run([*_LAB, "down"], env=environment, stdout=subprocess.DEVNULL, check=True)


def _run(
    world: World, number: str, command: Sequence[str], environment: dict[str, str], results: Path
) -> Played:
    started_s = time.monotonic()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_AT_MOST_S, check=False
    )
    took_s = time.monotonic() - started_s
    records = read_records(results / FILE) if (results / FILE).exists() else []
    verdicts = {
        record["check"]: {"outcome": record["outcome"], "why": record["why"]}
        for record in records
        if record["kind"] == "verdict"
    }
    error = done.stderr[-2_000:] if done.returncode else ""
    return Played(world.name, number, took_s, error, verdicts)


def _double(number: str, folder: Path) -> str:
    [path] = find_notebooks([number])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = double(notebook.cells)
    nbformat.write(notebook, folder / path.name)
    return str(folder / path.name)


def double(cells: Sequence[NotebookNode]) -> list[NotebookNode]:
    """Put every cell of a notebook twice, as somebody runs them who is not sure."""
    return [nbformat.from_dict({**cell, "id": f"{cell.id}-{k}"}) for cell in cells for k in (1, 2)]


def tabulate_claims(played: Sequence[Played], numbers: Sequence[str]) -> pd.DataFrame:
    """Count the verdicts.

    Args:
        played: What was run.
        numbers: Of the claims.

    Returns:
        One row per claim: check, PASS, FAIL, UNKNOWN, missing (its notebook was run and never got
        to it), why (of each verdict that is not PASS, each once).
    """
    rows = []
    for number in numbers:
        runs = [one for one in played if one.notebook == number.partition(".")[0]]
        found = [one.verdicts[number] for one in runs if number in one.verdicts]
        outcomes = [verdict["outcome"] for verdict in found]
        counts = {name: outcomes.count(name) for name in ("PASS", "FAIL", "UNKNOWN")}
        whys = {
            f"{verdict['outcome']}: {verdict['why']}"
            for verdict in found
            if verdict["outcome"] != "PASS"
        }
        missing = {"missing": len(runs) - len(found)}
        rows.append({"check": number} | counts | missing | {"why": "; ".join(sorted(whys))})
    return pd.DataFrame(rows)


def tabulate_times(played: Sequence[Played]) -> pd.DataFrame:
    """Sum up how long each notebook took.

    Returns:
        One row per notebook: notebook, runs, failed, least_s, median_s, most_s.
    """
    rows = [(one.notebook, one.took_s, bool(one.error)) for one in played]
    table = pd.DataFrame(rows, columns=["notebook", "took_s", "failed"])
    return table.groupby("notebook", as_index=False).agg(
        runs=("took_s", "size"),
        failed=("failed", "sum"),
        least_s=("took_s", "min"),
        median_s=("took_s", "median"),
        most_s=("took_s", "max"),
    )


def tell(played: Sequence[Played]) -> bool:
    """Print both tables and each error; whether nothing failed."""
    notebooks = {one.notebook for one in played}
    numbers = [number for number in all_claims() if number.partition(".")[0] in notebooks]
    claims = tabulate_claims(played, numbers)
    for one in played:
        if one.error:
            print(f"\n{one.world}, notebook {one.notebook}:\n{one.error.rstrip()}")
    print("\n" + claims.to_string(index=False, justify="left", max_colwidth=120))
    print("\n" + tabulate_times(played).to_string(index=False, float_format="{:.0f}".format))
    passed = claims["PASS"].sum()
    print(f"\n{passed} of {claims[['PASS', 'FAIL', 'UNKNOWN', 'missing']].to_numpy().sum()} PASS")
    return not claims["FAIL"].any() and not any(one.error for one in played)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="such as 00 07; all if none")
    parser.add_argument("--rounds", type=int, default=1, help="how often each notebook runs")
    parser.add_argument("--order", choices=ORDERS, default="forward")
    parser.add_argument("--jobs", type=int, default=1, help="how many worlds at a time")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick")
    parser.add_argument("--seeds", action="store_true", help="another LAB_SEED for each round")
    parser.add_argument("--twice", action="store_true", help="every cell twice in a row")
    parser.add_argument("--out", type=Path, default=FILE_OUT)
    given = parser.parse_args()
    numbers = [path.name[:2] for path in find_notebooks(given.notebooks)]
    worlds = make_worlds(numbers, given.rounds, given.order, seeds=given.seeds)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    played: list[Played] = []
    lock, stopped = threading.Lock(), threading.Event()

    def live(world: World) -> None:
        for one in play(world, given.profile, stopped, twice=given.twice):
            with lock, given.out.open("a") as file:
                played.append(one)
                file.write(json.dumps(asdict(one)) + "\n")
                word = "failed" if one.error else "ok"
                print(f"{one.world}: {one.notebook} {word}, {one.took_s:.0f} s", flush=True)

    with ThreadPoolExecutor(given.jobs) as pool:
        lives = [pool.submit(live, world) for world in worlds]
        try:
            for one in lives:
                one.result()
        except KeyboardInterrupt:
            stopped.set()  # what runs ends its cluster, what does not begins none
    return 0 if tell(played) else 1


if __name__ == "__main__":
    sys.exit(main())
