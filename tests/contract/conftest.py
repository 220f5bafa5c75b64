"""The contract's cluster, a namespace per test, and the kubectl binaries."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab_utils.errors import LabError
from lab_utils.session import Lab
from tests.contract import outage, scenarios
from tests.contract.cluster import Cluster, Namespace
from tests.contract.history import Recorder
from tests.contract.kubectl import Kubectl
from tests.contract.outage import Outage


@pytest.fixture(scope="session")
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Give the cluster under test."""
    made = Cluster(lab.kubeconfig())
    yield made
    made.client.close()


@contextmanager
def new_namespace(cluster: Cluster) -> Iterator[Namespace]:
    """Make a namespace that takes pods; delete it without waiting."""
    head = {"metadata": {"generateName": "contract-"}}
    name = cluster.request("POST", "/api/v1/namespaces", head).body["metadata"]["name"]
    made = Namespace(cluster, name)
    made.until("ServiceAccount", "default", bool)  # a controller makes it; pods need it
    yield made
    cluster.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """Give a namespace of the test's own."""
    with new_namespace(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[Namespace]:
    """Give one namespace to all tests of a module."""
    with new_namespace(cluster) as made:
        yield made


@dataclass
class Past:
    """What happened while nobody asked for anything."""

    pods: Recorder
    outage: Outage | LabError


@pytest.fixture(scope="session")
def past(lab: Lab, cluster: Cluster) -> Iterator[Past]:
    """Give a minute's history: pods that end and break on one node, while another loses power."""
    with new_namespace(cluster) as broken, new_namespace(cluster) as struck:
        pods = scenarios.start(broken, cluster.nodes()[-1])
        try:
            found: Outage | LabError = outage.run(lab.backend, struck, cluster.nodes()[0])
        except LabError as exc:
            found = exc
        scenarios.until_over(pods)
        yield Past(pods.stop(), found)


def missing(reason: str) -> None:
    """Skip for want of a kubectl; fail where it was promised (LAB_REQUIRE_KUBECTL)."""
    if os.environ.get("LAB_REQUIRE_KUBECTL"):
        pytest.fail(f"LAB_REQUIRE_KUBECTL is set, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session", params=["PATH", "1.36"])
def kubectl_binary(request: pytest.FixtureRequest) -> str:
    """Give the kubectl of the PATH, then that of the cluster's own version."""
    if request.param == "PATH":
        return shutil.which("kubectl") or missing("there is no kubectl on the PATH")
    found = os.environ.get("LAB_KUBECTL_136", "")
    return found or missing("LAB_KUBECTL_136 names no kubectl 1.36: .ci/kubectl gets one")


@pytest.fixture(scope="module")
def kubectl(
    kubectl_binary: str, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """Give each kubectl, with a home and a namespace of its own."""
    home: Path = tmp_path_factory.mktemp("home")
    with new_namespace(cluster) as namespace:
        yield Kubectl(kubectl_binary, namespace, home)
