"""Measure what the lab promises about its own speed; print goals beside figures, write JSON.

    python -m tests.bench [NAME ...]

Writes build/bench.json; a run of some benches keeps what the file says about the others. Never part
of `make test`: a figure on a busy machine is not a failure. A bench that breaks down is told at the
end, with exit code 1.
"""

import json
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import tests.bench
from lab_utils.settings import project_root
from tests.bench.rows import Row

TARGET = "build/bench.json"
Bench = Callable[[], Iterable[Row]]


def find_benches() -> dict[str, Bench]:
    """Give the benches by name: the modules of this package that have a bench()."""
    names = [module.name for module in pkgutil.iter_modules(tests.bench.__path__)]
    modules = {name: import_module(f"tests.bench.{name}") for name in names if name != "__main__"}
    return {name: module.bench for name, module in modules.items() if hasattr(module, "bench")}


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Run one bench; print each row as soon as it is there."""
    rows = []
    for row in bench():
        print(row, flush=True)
        rows.append(asdict(row) | {"value": row.value})
    return rows


def main() -> None:
    benches = find_benches()
    wanted = sys.argv[1:] or list(benches)
    if unknown := set(wanted) - benches.keys():
        raise SystemExit(f"no bench {', '.join(unknown)}: there are {', '.join(benches)}")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    target = project_root() / TARGET
    target.parent.mkdir(exist_ok=True)
    figures = read(target)
    broken = []
    for name in wanted:
        print(f"--- {name}", flush=True)
        try:
            figures[name] = measure(benches[name])
        except Exception:
            traceback.print_exc()
            broken.append(name)
            continue
        target.write_text(json.dumps(figures, indent=1) + "\n")
    missed = [row["name"] for name in wanted for row in figures.get(name, []) if not row["met"]]
    print(f"written to {TARGET}; goals missed: {', '.join(missed) or 'none'}")
    if broken:
        raise SystemExit(f"could not be measured: {', '.join(broken)}")


def read(target: Path) -> dict[str, Any]:
    """Give what earlier runs have written; nothing if that cannot be read."""
    try:
        found = json.loads(target.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    main()
