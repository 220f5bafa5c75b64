import asyncio
import time

from worker.device import Accelerator, Processor
from worker.timeline import Timeline


def run(device, service_s):
    """Run something from now on; the future becomes the instant at which it ended."""
    loop = asyncio.get_running_loop()
    started_s, ended = loop.time(), loop.create_future()
    return started_s, ended, device.run(started_s, service_s, ended.set_result)


async def test_burning_uses_the_cpu_seconds_asked_for():
    loop = asyncio.get_running_loop()
    before_s = time.process_time()
    started_s, ended, _ = run(Processor(Timeline(loop), loop), 0.1)
    assert await ended - started_s >= 0.099
    assert 0.1 <= time.process_time() - before_s < 0.2


async def test_the_loop_stays_alive_while_a_processor_burns():
    loop = asyncio.get_running_loop()
    _, ended, _ = run(Processor(Timeline(loop), loop), 0.3)
    turns = 0
    while not ended.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 30


async def test_a_cancelled_run_burns_no_more_and_reports_no_end():
    loop = asyncio.get_running_loop()
    processor = Processor(Timeline(loop), loop)
    before_s = time.process_time()
    _, ended, running = run(processor, 10.0)
    running.cancel()
    _, after, _ = run(processor, 0.01)
    await after
    assert not ended.done()
    assert time.process_time() - before_s < 1


async def test_an_accelerator_uses_time_but_no_cpu():
    loop = asyncio.get_running_loop()
    timeline = Timeline(loop)
    before_s = time.process_time()
    started_s, ended, _ = run(Accelerator(timeline), 0.2)
    timeline.catch_up()
    assert await ended == started_s + 0.2
    assert loop.time() >= started_s + 0.2 - 1e-6
    assert time.process_time() - before_s < 0.1
