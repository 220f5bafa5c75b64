"""Limits by the kernel's own control groups, where this user may make some."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab_utils.controlplane.kubelet.cgroup import Limits
from lab_utils.controlplane.kubelet.kernelgroup import find_tree, remove_empty
from lab_utils.controlplane.kubelet.runtime import Launch, Runtime
from tests.unit.controlplane.kubelet.conftest import until


@pytest.fixture
def tree() -> Iterator[Path]:
    """Give a control group for those of containers, removed at the end."""
    found = find_tree(f"lab-test-{os.getpid()}")
    if found is None:
        pytest.skip("no writable cgroup v2 with the cpu and memory controllers here")
    yield found
    remove_empty(found)
    if found.is_dir():
        found.rmdir()


def test_a_folder_is_only_taken_if_it_has_both_controllers() -> None:
    found = find_tree(f"lab-test-{os.getpid()}")
    if found is not None:
        controllers = (found / "cgroup.subtree_control").read_text().split()
        assert {"cpu", "memory"} <= set(controllers)
        found.rmdir()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/lab-test-{os.getpid()}"))


async def test_the_kernel_holds_a_container_to_its_quota(
    tree: Path, make_launch: Callable[..., Launch]
) -> None:
    runtime = Runtime(tree)
    container = runtime.start(make_launch("while True: pass", Limits(cores=0.1)))
    began_s = time.monotonic()
    await until(lambda: container.cgroup.stat.nr_throttled >= 10)
    share = container.cgroup.usage_ns() / 1e9 / (time.monotonic() - began_s)
    runtime.kill(container)
    await until(lambda: runtime.has_ended(container))
    await runtime.close()
    assert 0.05 < share < 0.2


async def test_the_kernel_kills_a_container_over_its_memory_limit(
    tree: Path, make_launch: Callable[..., Launch]
) -> None:
    runtime = Runtime(tree)
    leak = "kept = bytearray(256 << 20); import time; time.sleep(600)"
    container = runtime.start(make_launch(leak, Limits(memory_bytes=64 << 20)))
    await until(lambda: runtime.has_ended(container))
    await runtime.close()
    assert container.exit_code == 137
    assert container.cgroup.oom_killed


async def test_a_container_reads_the_counters_where_it_is_told(
    runtime: Runtime, make_launch: Callable[..., Launch]
) -> None:
    code = "import os; print(open(os.environ['CGROUP_ROOT'] + '/cpu.stat').read())"
    launch = make_launch(code, Limits(cores=0.5), PYTHONUNBUFFERED="1")
    container = runtime.start(launch)
    await until(lambda: runtime.has_ended(container))
    assert "nr_throttled 0" in launch.log.read_text()
