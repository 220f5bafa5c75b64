import asyncio
import time

from worker.device import Accelerator, Job, Processor


def job_at(loop, service_s):
    now_s = loop.time()
    return Job(service_s, now_s, loop.create_future(), started_s=now_s)


def finish(job, ended_s):
    job.ended_s = ended_s
    job.done.set_result(True)


async def test_burning_uses_the_cpu_seconds_asked_for():
    loop = asyncio.get_running_loop()
    job = job_at(loop, 0.1)
    before_s = time.process_time()
    Processor(loop, 1).run(job, finish)
    await job.done
    assert 0.1 <= time.process_time() - before_s < 0.2
    assert job.took_s >= 0.099


async def test_the_loop_stays_alive_while_a_processor_burns():
    loop = asyncio.get_running_loop()
    job = job_at(loop, 0.3)
    Processor(loop, 1).run(job, finish)
    turns = 0
    while not job.done.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 30


async def test_an_accelerator_uses_time_but_no_cpu():
    loop = asyncio.get_running_loop()
    accelerator, job = Accelerator(loop), job_at(loop, 0.2)
    before_s = time.process_time()
    accelerator.run(job, finish)
    accelerator.catch_up()
    await job.done
    assert job.ended_s == job.started_s + 0.2
    assert loop.time() >= job.ended_s - 1e-6
    assert time.process_time() - before_s < 0.1
