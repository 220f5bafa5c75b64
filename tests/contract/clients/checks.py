"""Run the checks of a module one by one and print what became of each, as JSON.

These modules run in interpreters of their own, beside one version of one client; they import
nothing of the project.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 30.0


def wait_for(look: Callable[[], Any]) -> Any:
    """Look until there is something to see."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError("not seen in time")
        time.sleep(0.1)
    return seen


def refused(kind: type[Exception], call: Callable[..., Any], *arguments: Any) -> Any:
    """Give the error that a call must end with."""
    try:
        call(*arguments)
    except kind as exc:
        return exc
    raise AssertionError(f"{call.__name__} was not refused")


def run(checks: dict[str, Callable[[], None]]) -> None:
    """Run every check; a traceback for each that fails, null for the others."""
    results: dict[str, str | None] = {}
    for name, check in checks.items():
        try:
            check()
            results[name] = None
        except BaseException:
            results[name] = traceback.format_exc()
    json.dump(results, sys.stdout)
