"""A running control plane for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from lab_utils.controlplane.config import ClusterConfig

from .cluster import Cluster, make_cluster


@pytest.fixture
def config() -> ClusterConfig:
    return ClusterConfig(name="test", run_id="test", nodes=(), host_ports={})


@pytest.fixture
async def cluster(config: ClusterConfig) -> AsyncIterator[Cluster]:
    cluster = make_cluster(config)
    cluster.controllers.start()
    await cluster.settle()
    yield cluster
    await cluster.controllers.stop()
