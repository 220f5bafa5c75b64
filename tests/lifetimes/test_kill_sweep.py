"""Twenty rounds of the kill sweep; `make soak` plays two hundred."""

import pytest

from tests.sweep.plan import make_plan
from tests.sweep.sweep import Sweep

SEED, ROUNDS = 1, 20


@pytest.fixture(scope="module")
def sweep():
    with Sweep(SEED) as sweep:
        yield sweep


@pytest.mark.parametrize(
    "number", range(ROUNDS), ids=lambda number: str(make_plan(SEED, number)).replace(" ", "-")
)
def test_whoever_is_struck_nothing_is_left_and_the_next_start_works(sweep, number):
    assert sweep.play(sweep.plan(number)) == []
