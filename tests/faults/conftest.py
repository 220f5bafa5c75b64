"""Labs of a test's own, that it may kill."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab_utils.session import Lab
from lab_utils.settings import load_settings


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Give a maker of labs on the embedded cluster, not started; each is ended afterwards."""
    made: list[Lab] = []

    def make(**settings: object) -> Lab:
        name = f"fault-{uuid.uuid4().hex[:6]}"
        lab = Lab(load_settings(**{"backend": "embedded", "cluster": name} | settings))
        made.append(lab)
        return lab

    yield make
    for lab in made:
        lab.down()


@pytest.fixture
def own_lab(make_lab: Callable[..., Lab]) -> Lab:
    """Give a running lab of the test's own, without a workload."""
    lab = make_lab()
    lab.up()
    return lab
