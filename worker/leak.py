"""Memory that is never given back, until the fault is undone.

Hides how memory is made resident. Never leaks by itself: `Faults` says whether and how fast.
"""

import asyncio
import mmap

from worker.faults import Faults

_TICK_S = 0.1
_PAGE = b"\xff" * mmap.PAGESIZE


async def leak(faults: Faults) -> None:
    """Take memory for as long as a leak is on; give all of it back when it is undone."""
    held: list[mmap.mmap] = []
    owed_bytes = 0.0
    while True:
        await asyncio.sleep(_TICK_S)
        injected = faults.active("leak")
        if injected is None:
            # Mapped memory, unlike the allocator's, goes back to the system when it is closed.
            for block in held:
                block.close()
            held, owed_bytes = [], 0.0
            continue
        owed_bytes += injected.fault.mib_per_s * 2**20 * _TICK_S
        pages = int(owed_bytes // mmap.PAGESIZE)
        if pages:
            owed_bytes -= pages * mmap.PAGESIZE
            held.append(_resident(pages))


def _resident(pages: int) -> mmap.mmap:
    block = mmap.mmap(-1, pages * mmap.PAGESIZE)
    for _ in range(pages):
        block.write(_PAGE)  # a page that was never written to takes no memory
    return block
