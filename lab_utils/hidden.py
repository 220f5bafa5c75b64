"""A fault that only the charts tell of: chosen by a number, silent about what it is.

For game days: whoever starts the run knows when something happens and neither what nor to whom.
The same number is the same fault for everybody, so that a class can compare, and one team can set
it for another. Hides no fault from who reads this file.
"""

import hashlib
from collections.abc import Callable

from lab_utils.chaos import Fault, Faults
from lab_utils.errors import InvalidInput

_LEAK_MIB = 10.0
"""Seen in the memory panel, and no reason yet to be killed at 64 MiB."""
_KINDS: dict[str, Callable[[Faults, str, float], Fault]] = {
    "killed": lambda faults, role, _: faults.kill(role),
    "hanging": lambda faults, role, span_s: faults.hang(role, duration_s=span_s),
    "slow": lambda faults, role, span_s: faults.slow(role, factor=3, duration_s=span_s),
    "failing": lambda faults, role, span_s: faults.fail(role, rate=0.3, duration_s=span_s),
    "not ready": lambda faults, role, span_s: faults.not_ready(role, duration_s=span_s),
    "leaking": lambda faults, role, span_s: faults.leak(
        role, mib_per_s=_LEAK_MIB / span_s, duration_s=span_s
    ),
}
SUSPECTS = tuple(f"{role} {kind}" for kind in _KINDS for role in ("primary", "backup"))
"""Every answer there is: "backup slow", ..."""


class Mystery(Fault):
    """One hidden fault. It calls itself "hidden" wherever it is written down.

    Args:
        faults: Those of the cluster; failing, slow, not ready and leaking need the control port.
        case: Any whole number.
        at_s: When, in seconds since the start of the run.
        duration_s: For how long, where it lasts.

    Raises:
        InvalidInput: case is not a whole number, or a time cannot be used.
    """

    def __init__(self, faults: Faults, case: int, at_s: float, duration_s: float) -> None:
        if not isinstance(case, int) or isinstance(case, bool):
            raise InvalidInput(f"case is {case!r}: want a whole number, such as 7")
        if not 0 <= at_s < float("inf") or not 1 <= duration_s <= 600:
            raise InvalidInput(
                f"at_s is {at_s!r} and duration_s {duration_s!r}: want seconds from 0 on, and 1 to "
                "600 of them"
            )
        self.case = case

        def breaks() -> Callable[[], None]:
            role, _, kind = self.reveal().partition(" ")
            fault = _KINDS[kind](faults, role, duration_s)
            fault.inject()
            return fault.undo

        super().__init__("hidden", "somebody", at_s, duration_s, breaks)

    def __repr__(self) -> str:
        """Say when, and nothing else."""
        return (
            f"Case {self.case}: something happens {self.at_s:g} s into the run, "
            f"for {self.duration_s:g} s at most"
        )

    def reveal(self) -> str:
        """Give the solution: one of SUSPECTS."""
        drawn = hashlib.sha256(f"case {self.case}".encode()).digest()
        return SUSPECTS[int.from_bytes(drawn) % len(SUSPECTS)]
