"""Options and fixtures that every test may use, and a state folder of the tests' own.

The folder, the backend and the short profile are chosen through the environment, so that they also
reach the processes that tests start and the kernels in which nbval runs the notebooks.
"""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_utils.controlplane import launch
from lab_utils.session import Lab
from lab_utils.settings import load_settings
from tests.tools.kind_world import World, kind_world


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cluster",
        default="embedded",
        help="backend of the cluster tests: embedded, kind or context:NAME",
    )
    parser.addoption("--kubeconfig", help="file with the context of --cluster=context:NAME")
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the controllers' expected actions"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    # Whoever is started in the background by a script ignores Ctrl-C, and so do all its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tempfile.mkdtemp(prefix="lab-tests-")
    os.environ |= {
        "LAB_STATE_DIR": folder,
        "LAB_RESULTS_DIR": f"{folder}/results",
        "LAB_BACKEND": session.config.getoption("--cluster"),
        "LAB_PROFILE": "quick",
        "LAB_QUIET": "1",
    }
    if kubeconfig := session.config.getoption("--kubeconfig"):
        os.environ["KUBECONFIG"] = kubeconfig


def pytest_sessionfinish() -> None:
    """End what notebooks have left running, as they should: a cluster outlives its kernel."""
    folder = Path(os.environ["LAB_STATE_DIR"])
    for root in folder.glob("embedded/*"):
        launch.stop(root)
    shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what looks back at the session at its end."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    cluster = item.config.getoption("--cluster")
    if cluster.startswith("context:") and item.get_closest_marker("machines"):
        pytest.skip(f"the machines of {cluster} are not the lab's to switch")


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give a lab with a running cluster of the chosen backend and the worker's image loaded."""
    is_guest = request.config.getoption("--cluster").startswith("context:")
    # There it is the name of the namespace, and tests know it by the manifests' own.
    name = "lab" if is_guest else f"test-{uuid.uuid4().hex[:6]}"
    lab = Lab(load_settings(cluster=name))
    try:
        lab.up()
        lab.build_image()
        lab.load_image()
        yield lab
    finally:
        lab.down()


@pytest.fixture
def deployed(lab: Lab) -> Lab:
    """Give the lab in its known state: primary and backup Ready behind the Services."""
    lab.ensure()
    return lab


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """Give a machine on which `kind`, `docker` and the engine say what they are told to."""
    with kind_world(tmp_path) as world:
        for name, value in world.environ.items():
            monkeypatch.setenv(name, value)
        yield world
