"""Workers as processes of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.tools.workers import Worker, running


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start workers with the given environment; they end with the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(**settings))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Give one worker with a place in a pod, shared by the tests of a module."""
    with running(
        WORKER_SERVICE_MS=1, POD_NAME="worker-1", NODE_NAME="lab-worker", ROLE="primary"
    ) as started:
        yield started
