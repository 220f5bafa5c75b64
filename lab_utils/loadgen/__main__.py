"""The process: `python -m lab_utils.loadgen`, a plan on stdin, JSON lines on stdout.

    {"clock": {...}}                      0 s is set; the first request comes later
    {"request_id": 0, ...}                one finished request and its attempts, as it finishes
    {"sent": 120}                         how many have left, a few times a second
    {"end": {"interrupted": false, ...}}  the last line

Closing its stdin (or the parent's death, which closes it) cancels what is in flight and ends it.
"""

import asyncio
import gc
import json
import os
import queue
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

from lab_utils.clock import Clock
from lab_utils.loadgen.client import Client, Report, open_session
from lab_utils.loadgen.pacer import Pacer
from lab_utils.loadgen.plan import Plan

_HEAD_START_S = 0.05
_REPORT_PERIOD_S = 0.2


async def open_loop(plan: Plan, clock: Clock, client: Client) -> None:
    """Send each request at its time, whatever became of those before it."""
    loop = asyncio.get_running_loop()
    paced = asyncio.Event()
    async with asyncio.TaskGroup() as group:

        def launch(index: int) -> None:
            if not stopping:
                group.create_task(client.send(index, plan.scheduled_s[index]))

        pacer = Pacer(
            [clock.at_ns(t_s) for t_s in plan.scheduled_s],
            lambda index: loop.call_soon_threadsafe(launch, index),
            lambda: loop.call_soon_threadsafe(paced.set),
        )
        stopping = False
        pacer.start()
        try:
            await paced.wait()
        finally:
            pacer.stop()
            stopping = not paced.is_set()


async def closed_loop(plan: Plan, clock: Clock, client: Client) -> None:
    """Let each user send its next request when it has the answer to the one before."""
    indices = iter(range(plan.count))

    async def use() -> None:
        for index in indices:
            await client.send(index, clock.now_s())

    async with asyncio.TaskGroup() as group:
        for _ in range(plan.users):
            group.create_task(use())


async def perform(plan: Plan, report: Report) -> None:
    """Carry out a plan, or as much of it as there is time for."""
    stop = asyncio.Event()
    _watch_stdin(asyncio.get_running_loop(), stop)
    clock = Clock.starting_in(_HEAD_START_S)
    report({"clock": asdict(clock)})
    async with open_session(plan) as session:
        client = Client(plan, session, clock, report)
        drive = closed_loop if plan.users else open_loop
        driving = asyncio.create_task(drive(plan, clock, client))
        reporting = asyncio.create_task(_report_sent(client, report))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({driving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        interrupted = driving.cancel()
        reporting.cancel()
        await asyncio.wait({driving, reporting})
    if not interrupted:
        driving.result()
    report({"sent": client.sent})
    report({"end": {"interrupted": interrupted, "cpu_s": time.process_time()}})


async def _report_sent(client: Client, report: Report) -> None:
    while True:
        await asyncio.sleep(_REPORT_PERIOD_S)
        report({"sent": client.sent})


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def watch() -> None:
        # os.read, not sys.stdin: a thread inside a buffered reader breaks the interpreter's exit.
        while os.read(0, 1):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, name="stdin", daemon=True).start()


def _write_lines(lines: "queue.SimpleQueue[Any]") -> None:
    while (line := lines.get()) is not None:
        sys.stdout.write(json.dumps(line) + "\n")
        if lines.empty():
            sys.stdout.flush()


def main() -> None:
    """Read the plan, carry it out, write what happened."""
    plan = Plan.from_json(sys.stdin.buffer.readline())
    # The pacer must get the interpreter soon after it wakes (the default is 5 ms), and no
    # collection of the imported modules may come between two requests.
    sys.setswitchinterval(0.0005)
    gc.freeze()
    # A thread of its own writes, so that a slow reader never delays a request.
    lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
    writer = threading.Thread(target=_write_lines, args=(lines,), name="writer", daemon=True)
    writer.start()
    try:
        asyncio.run(perform(plan, lines.put))
    finally:
        lines.put(None)
        writer.join()


if __name__ == "__main__":
    main()
