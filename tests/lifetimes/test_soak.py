"""A chapter of the soak; `make soak` plays as many as there is time for."""

import uuid

import pytest

from lab_utils.session import Lab
from lab_utils.settings import load_settings
from tests.soak.run import Soak


@pytest.fixture
def soaked():
    """Give a lab of its own, with the image and without the workload."""
    lab = Lab(load_settings(backend="embedded", cluster=f"soak-{uuid.uuid4().hex[:6]}"))
    lab.up()
    lab.build_image()
    lab.load_image()
    yield lab
    lab.down()


def test_whatever_is_done_to_a_namespace_the_cluster_keeps_its_laws(soaked):
    figures = Soak(soaked, seed=1, say=print).run(seconds=1)
    assert figures.violations == []
    assert figures.events["Pod"] > 20
    assert figures.requests_ok > 50
