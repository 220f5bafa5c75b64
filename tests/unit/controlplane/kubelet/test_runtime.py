"""Containers as real processes: limits, strays, signals, the end."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest

from lab_utils.controlplane.kubelet import proc
from lab_utils.controlplane.kubelet.cgroup import MARK, Limits
from lab_utils.controlplane.kubelet.logs import LogOptions, read_log
from lab_utils.controlplane.kubelet.runtime import Container, Launch, Runtime, StartError
from lab_utils.controlplane.processes import marked
from tests.unit.controlplane.kubelet.conftest import until

MakeLaunch = Callable[..., Launch]
BURN = "while True: pass"


async def ended(runtime: Runtime, container: Container) -> int:
    await until(lambda: runtime.has_ended(container))
    assert container.exit_code is not None
    return container.exit_code


@pytest.mark.parametrize(("code", "exit_code"), [("", 0), ("raise SystemExit(7)", 7)])
async def test_exit_codes(
    runtime: Runtime, make_launch: MakeLaunch, code: str, exit_code: int
) -> None:
    assert await ended(runtime, runtime.start(make_launch(code))) == exit_code


async def test_a_signal_is_128_plus_its_number(runtime: Runtime, make_launch: MakeLaunch) -> None:
    container = runtime.start(make_launch("import signal; signal.pause()"))
    runtime.signal(container, signal.SIGKILL)
    assert await ended(runtime, container) == 128 + signal.SIGKILL


async def test_a_main_process_without_a_handler_is_spared_as_number_1_is(
    runtime: Runtime, make_launch: MakeLaunch
) -> None:
    code = "import signal, time; print(1, flush=True); time.sleep(1); print(2)"
    container = runtime.start(make_launch(code))
    await until(lambda: read_log(container.launch.log, LogOptions()) == b"1\n")
    runtime.signal(container, signal.SIGTERM)
    assert await ended(runtime, container) == 0


async def test_output_goes_to_the_log(runtime: Runtime, make_launch: MakeLaunch) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    container = runtime.start(make_launch(code))
    await ended(runtime, container)
    assert read_log(container.launch.log, LogOptions()) == b"out\nerr\n"


async def test_a_command_that_is_not_there(runtime: Runtime, make_launch: MakeLaunch) -> None:
    launch = make_launch("")
    with pytest.raises(StartError, match='exec: "absent": executable file not found in \\$PATH'):
        runtime.start(replace(launch, argv=("absent",)))


@pytest.mark.fault(27)
async def test_a_daemon_dies_with_its_container(runtime: Runtime, make_launch: MakeLaunch) -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("forked", flush=True)
os.wait()
time.sleep(600)
"""
    container = runtime.start(make_launch(code))
    await until(lambda: len(list(marked(MARK, container.id))) == 2)
    os.kill(container.process.pid, signal.SIGKILL)
    assert await ended(runtime, container) == 137
    await until(lambda: not list(marked(MARK, container.id)))
    runtime.reap_orphans()


async def test_cpu_is_limited_in_the_long_run(runtime: Runtime, make_launch: MakeLaunch) -> None:
    container = runtime.start(make_launch(BURN, Limits(cores=0.2)))
    cgroup = container.cgroup
    await until(lambda: cgroup.stat.nr_periods >= 20)
    used_ns, periods = proc.cpu_ns(cgroup.leader), cgroup.stat.nr_periods
    assert used_ns is not None
    assert used_ns / (periods * 100e6) == pytest.approx(0.2, rel=0.15)
    assert cgroup.stat.nr_throttled >= periods - 2


async def test_a_container_can_read_how_it_was_throttled(
    runtime: Runtime, make_launch: MakeLaunch
) -> None:
    container = runtime.start(make_launch(BURN, Limits(cores=0.1)))
    stat = container.launch.folder / "cgroup" / "cpu.stat"

    def counters() -> dict[str, int]:
        return {name: int(value) for name, value in map(str.split, stat.read_text().splitlines())}

    await until(lambda: counters()["nr_throttled"] > 2)
    assert counters()["throttled_usec"] > 0


async def test_a_container_finds_the_memory_that_counts_against_its_limit(
    runtime: Runtime, make_launch: MakeLaunch
) -> None:
    keeper = "import time; kept = bytearray(b'x') * (20 << 20); time.sleep(600)"
    container = runtime.start(make_launch(keeper, Limits(memory_bytes=64 * 2**20)))
    current = container.launch.folder / "cgroup" / "memory.current"
    await until(lambda: current.is_file() and int(current.read_text()) > 20 * 2**20)
    assert int(current.read_text()) < 64 * 2**20


async def test_too_much_memory_kills(runtime: Runtime, make_launch: MakeLaunch) -> None:
    leak = "import time; kept = bytearray(64 << 20); time.sleep(600)"
    container = runtime.start(make_launch(leak, Limits(memory_bytes=32 * 2**20)))
    assert await ended(runtime, container) == 137
    assert container.cgroup.oom_killed


async def test_a_held_container_stays_stopped_under_a_quota(
    runtime: Runtime, make_launch: MakeLaunch
) -> None:
    container = runtime.start(make_launch(BURN, Limits(cores=0.2)))
    cgroup = container.cgroup
    await until(lambda: cgroup.stat.nr_throttled >= 2)
    runtime.signal(container, signal.SIGSTOP)
    await until(lambda: psutil.Process(cgroup.leader).status() == psutil.STATUS_STOPPED)
    held_ns = proc.cpu_ns(cgroup.leader)
    periods = cgroup.stat.nr_periods
    await until(lambda: not cgroup.quota or not cgroup.quota.throttled)
    assert proc.cpu_ns(cgroup.leader) == held_ns
    runtime.signal(container, signal.SIGCONT)
    await until(lambda: cgroup.stat.nr_periods > periods + 1)
    assert (proc.cpu_ns(cgroup.leader) or 0) > (held_ns or 0)
