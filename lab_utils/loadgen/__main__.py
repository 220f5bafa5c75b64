"""The process: a plan in, JSON lines out.

    python -m lab_utils.loadgen                           the plan is the first line of stdin
    python -m lab_utils.loadgen --plan FILE --share 1/4   the second of four generators

What it writes is described in `told`. SIGTERM ends it, and so does the end of its stdin (its
parent's death), unless the plan came from a file: what is in flight is cancelled and told. Each
further line of stdin is a list of base URLs: the endpoints that there are now.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab_utils.clock import Clock
from lab_utils.loadgen.client import Client
from lab_utils.loadgen.pacer import Pacer
from lab_utils.loadgen.plan import Plan
from lab_utils.loadgen.told import Told

run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run
if os.environ.get("LAB_EVENT_LOOP") != "asyncio":  # as a pod says it, whose names only Python knows
    with contextlib.suppress(ImportError):  # in the worker's image, and on Windows
        from uvloop import run  # 0.07 ms less of the client in each latency

_HEAD_START_S = 0.05
_REPORT_PERIOD_S = 0.2


async def open_loop(plan: Plan, clock: Clock, client: Client) -> None:
    """Send each request at its time, whatever became of those before it."""
    paced = asyncio.Event()
    async with asyncio.TaskGroup() as group:

        def launch(index: int) -> None:
            request_id = plan.first + index * plan.step
            group.create_task(client.send(request_id, plan.scheduled_s[index]))

        pacer = Pacer([clock.at_ns(t_s) for t_s in plan.scheduled_s], launch, paced.set)
        try:
            pacer.start()
            await paced.wait()
        finally:
            pacer.stop()


async def closed_loop(plan: Plan, clock: Clock, client: Client) -> None:
    """Let each user send its next request when it has the answer to the one before."""
    indices = iter(range(plan.count))

    async def use(user: int) -> None:
        chance = random.Random(f"{plan.seed} {user}")  # noqa: S311 - load, not secrets
        for index in indices:
            await client.send(plan.first + index * plan.step, clock.now_s())
            if plan.think_s:
                await asyncio.sleep(chance.expovariate(1 / plan.think_s))

    async with asyncio.TaskGroup() as group:
        for user in range(plan.users):
            group.create_task(use(user))


async def perform(plan: Plan, told: Told, *, has_parent: bool) -> None:
    """Carry out a plan, or as much of it as there is time for."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    clock = _set_clock(plan)
    told.tell({"clock": asdict(clock)})
    client = Client(plan, clock, told.tell)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if has_parent:
        _listen(loop, client.retarget, stop.set)
    drive = closed_loop if plan.users else open_loop
    driving = asyncio.create_task(drive(plan, clock, client))
    reporting = asyncio.create_task(_report_sent(client, told))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({driving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    interrupted = driving.cancel()
    reporting.cancel()
    stopped.cancel()
    await asyncio.wait({driving, reporting, stopped})
    client.close()
    if not interrupted:
        driving.result()
    told.tell({"sent": client.sent})
    told.tell(
        {
            "end": {
                "interrupted": interrupted,
                "cpu_s": time.process_time() - began_cpu_s,
                "wall_s": time.perf_counter() - began_s,
                "clock_resolution_s": time.get_clock_info("perf_counter").resolution,
                "journal_trouble": told.trouble,
            }
        }
    )


def _set_clock(plan: Plan) -> Clock:
    if plan.start_unix_s is None:
        return Clock.starting_in(_HEAD_START_S)
    return Clock.starting_in(max(_HEAD_START_S, plan.start_unix_s - time.time()))


async def _report_sent(client: Client, told: Told) -> None:
    while True:
        await asyncio.sleep(_REPORT_PERIOD_S)
        told.tell({"sent": client.sent})


def _listen(
    loop: asyncio.AbstractEventLoop,
    retarget: Callable[[list[str]], object],
    stop: Callable[[], object],
) -> None:
    """Listen to the parent until it says no more."""

    def listen() -> None:
        rest = b""
        # os.read, not sys.stdin: a thread inside a buffered reader breaks the interpreter's exit.
        while piece := os.read(0, 65_536):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(retarget, json.loads(line))
        loop.call_soon_threadsafe(stop)

    threading.Thread(target=listen, name="stdin", daemon=True).start()


def _raise_limits() -> None:
    """Allow as many sockets as may be had: each request in flight needs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _read_arguments() -> tuple[Plan, bool]:
    """Give the plan and whether a parent holds on to stdin."""
    parser = argparse.ArgumentParser(prog="python -m lab_utils.loadgen", description=__doc__)
    parser.add_argument("--plan", type=Path, help="file with a plan as Plan.to_json() writes it")
    parser.add_argument("--share", default="0/1", help="I/N: the I-th of N parts, from 0 on")
    arguments = parser.parse_args()
    index, of = map(int, arguments.share.split("/"))
    text = arguments.plan.read_bytes() if arguments.plan else sys.stdin.buffer.readline()
    return Plan.from_json(text).share(index, of), arguments.plan is None


def main() -> None:
    """Read the plan, carry it out, write what happened."""
    plan, has_parent = _read_arguments()
    _raise_limits()
    # The requests must get the interpreter soon after the writing thread has had it (the default is
    # 5 ms), and no collection of the imported modules may come between two of them.
    sys.setswitchinterval(0.0005)
    gc.freeze()
    with Told(plan.journal) as told:
        told.note({"plan": asdict(plan)})
        run(perform(plan, told, has_parent=has_parent))


if __name__ == "__main__":
    main()
