"""Wait for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    look: Callable[[], T | None],
    *,
    timeout_s: float,
    late: Callable[[], Exception],
    period_s: float = 0.2,
) -> T:
    """Look again and again until there is something to see.

    Args:
        look: Gives None as long as the condition does not hold.
        timeout_s: How long to look, in seconds.
        late: Makes the error for a condition that was not reached in time.
        period_s: Time between two looks, in seconds.

    Returns:
        The first thing that look() gave.

    Raises:
        Exception: What late() made.
    """
    deadline = time.monotonic() + timeout_s
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise late()
        time.sleep(period_s)
    return seen
