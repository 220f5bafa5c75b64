"""Clients that people use, unchanged, each version in an environment of its own.

The environments are made with pip, once, below the user's cache folder; without an index these
tests skip with a reason, or fail where they were promised to run (LAB_REQUIRE_CLIENTS).
"""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.cluster import Cluster, Namespace
from tests.contract.conftest import new_namespace
from tests.contract.manifests import IMAGE

SCRIPTS = Path(__file__).parent / "clients"
CLIENTS = {
    "official 35": ("kubernetes==35.*", "official.py"),
    "official 36": ("kubernetes==36.*", "official.py"),
    "official 37": ("kubernetes==37.*", "official.py"),
    "kr8s": ("kr8s", "kr8s_client.py"),
}
Results = dict[str, str | None]


def interpreter(requirement: str) -> Path:
    """Give the Python of an environment with this requirement, made when it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k8s-inference-lab"
    name = requirement.replace("==", "-").rstrip(".*")
    folder = cache / f"{name}-py{sys.version_info.major}{sys.version_info.minor}"
    python, done = folder / "bin" / "python", folder / ".complete"
    if not done.exists():
        venv.create(folder, clear=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", requirement], check=True, capture_output=True)
        done.touch()
    return python


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Iterator[dict[str, "Future[Results]"]]:
    """Start all clients at once, each in its own namespace."""
    with ExitStack() as stack, ThreadPoolExecutor(len(CLIENTS)) as pool:
        yield {
            name: pool.submit(start, *client, stack.enter_context(new_namespace(cluster)))
            for name, client in CLIENTS.items()
        }


def start(requirement: str, script: str, namespace: Namespace) -> Results:
    """Run all checks of a script; warnings are errors, but for deprecations in its libraries."""
    command = [interpreter(requirement), "-W", "error", "-W", "ignore::DeprecationWarning"]
    arguments = [SCRIPTS / script, namespace.cluster.kubeconfig, namespace.name, IMAGE]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.fault(40)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_works_unchanged(running: dict[str, "Future[Results]"], client: str) -> None:
    try:
        results = running[client].result()
    except subprocess.CalledProcessError as exc:
        if os.environ.get("LAB_REQUIRE_CLIENTS"):
            raise
        pytest.skip(f"pip cannot install {CLIENTS[client][0]}: {exc.stderr.decode()[-200:]}")
    failed = {name: trace for name, trace in results.items() if trace}
    assert results
    assert not failed, "\n".join(f"{name}:\n{trace}" for name, trace in failed.items())
