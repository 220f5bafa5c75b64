"""The contract's cluster and a namespace per test."""

from collections.abc import Iterator

import pytest

from lab_utils.session import Lab
from tests.contract.cluster import Cluster, Namespace


@pytest.fixture(scope="session")
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Give the cluster under test."""
    made = Cluster(lab.kubeconfig())
    yield made
    made.client.close()


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
    yield from new_namespace(cluster)


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[Namespace]:
    """Give one namespace to all tests of a module."""
    yield from new_namespace(cluster)
