"""Faults on a run's clock: each injected at its time, each undone, whatever happens."""

from collections.abc import Sequence
from typing import Any, Protocol

from lab_utils.background import Background
from lab_utils.clock import Clock


class Fault(Protocol):
    """Something that goes wrong on purpose.

    Attributes:
        name: What it is: "kill pod".
        target: To whom: "lab/inference-primary-5f...".
        at_s: When, in seconds on the run's clock.
        duration_s: For how long; None if it is over as soon as it is injected.
    """

    name: str
    target: str
    at_s: float
    duration_s: float | None

    def inject(self) -> None:
        """Make it happen."""

    def undo(self) -> None:
        """Take it back; may be called twice, or without inject()."""


class Injector(Background):
    """Injects faults while its context lasts; leaving it undoes all of them.

    Attributes:
        rows: One row per injected fault, as in the faults table. start_s is taken before the
            injection and end_s after it (or after the undoing), so the truth lies between them.
        error: The first thing that went wrong, or None.
    """

    def __init__(self, faults: Sequence[Fault], clock: Clock) -> None:
        super().__init__("faults")
        self._steps = sorted(
            [(fault.at_s, "inject", fault) for fault in faults]
            + [(f.at_s + f.duration_s, "undo", f) for f in faults if f.duration_s is not None],
            key=lambda step: step[0],
        )
        self._faults, self._clock = faults, clock
        self._injected: list[tuple[Fault, dict[str, Any]]] = []
        self.error: Exception | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The faults table so far."""
        return [row for _, row in self._injected]

    def _leave(self, *, late: bool) -> None:
        for fault, row in self._injected:
            self._attempt(fault.undo)
            if fault.duration_s is not None and "end_s" not in row:
                row["end_s"] = self._clock.now_s()

    def _run(self) -> None:
        for at_s, what, fault in self._steps:
            if self._stopped.wait(max(0.0, at_s - self._clock.now_s())):
                return
            if what == "inject":
                self._inject(fault)
            else:
                self._undo(fault)
            if self.error is not None:
                return

    def _inject(self, fault: Fault) -> None:
        row = {"start_s": self._clock.now_s(), "name": fault.name, "target": fault.target}
        # Known as injected beforehand: a fault that breaks half-way must be undone as well.
        self._injected.append((fault, row))
        self._attempt(fault.inject)
        if fault.duration_s is None:
            row["end_s"] = self._clock.now_s()

    def _undo(self, fault: Fault) -> None:
        self._attempt(fault.undo)
        row = next(row for injected, row in self._injected if injected is fault)
        row["end_s"] = self._clock.now_s()

    def _attempt(self, step: Any) -> None:
        try:
            step()
        except Exception as exc:  # whatever it is, the other faults must still be undone
            self.error = self.error or exc
