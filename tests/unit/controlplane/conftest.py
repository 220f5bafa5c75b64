"""A registry and a running API server for the tests of the control plane."""

from collections.abc import Iterator

import pytest

from lab_utils.controlplane.registry import Registry
from lab_utils.controlplane.store import Store
from tests.unit.controlplane.apiserver import ApiServer, Client, FakeClock, fill


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that moves only when it is told to."""
    return FakeClock()


@pytest.fixture
def registry(clock: FakeClock) -> Registry:
    """Give a registry with the namespaces default, kube-system and ref."""
    return fill(Registry(Store(), clock))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Give a running API server, one for all tests of a module."""
    server = ApiServer(tmp_path_factory.mktemp("api")).start()
    yield server
    server.stop()


@pytest.fixture
def http(api: ApiServer) -> Client:
    """Give a bare HTTP client of the server."""
    return Client(api)
