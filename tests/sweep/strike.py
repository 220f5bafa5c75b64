"""Strikes: whom a round hits, and what becomes of it."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from lab_utils.controlplane.processes import wait_until
from tests.sweep.leftovers import processes_of
from tests.sweep.plan import CALLERS, Plan
from tests.sweep.pupil import Pupil
from tests.tools.disks import fill

_MODULES = {
    "guard": "lab_utils.controlplane.guard",
    "control plane": "lab_utils.controlplane.main",
    "kubelet": "lab_utils.controlplane.kubelet",
    "worker": " -m worker",
}
_APPEARS_S = 2.0


def strike(plan: Plan, pupil: Pupil, state: Path) -> bool:
    """Hit the victim, and undo what can be undone; False when there was nobody to hit."""
    if plan.victim == "disk":
        ballast = fill(state)
        time.sleep(plan.lasts_s)  # for so long the lesson goes on without a disk
        ballast.unlink()
    elif plan.victim == "terminal":
        pupil.close_terminal()
    else:
        wait_until(lambda: bool(_victims(plan, pupil, state)), timeout_s=_APPEARS_S)
        victims = _victims(plan, pupil, state)
        _signal(victims, signal.Signals[plan.blow])
        if plan.blow == "SIGSTOP":
            time.sleep(plan.lasts_s)  # for so long the others go on without it
            _signal(victims, signal.SIGCONT)
        return bool(victims)
    return True


def _victims(plan: Plan, pupil: Pupil, state: Path) -> list[int]:
    if plan.victim in CALLERS:
        return [] if pupil.has_ended() else [pupil.process.pid]
    module = _MODULES[plan.victim]
    found = processes_of(state).items()
    return sorted(pid for pid, command in found if module in command)[-1:]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
