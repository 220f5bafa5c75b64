"""The tour through the control plane names what there is."""

import re

from tests.tools.make_matrix import PAGE, current, render


def test_the_support_matrix_is_that_of_the_table_of_kinds() -> None:
    assert current() == render(), "run python -m tests.tools.make_matrix"


def test_every_module_of_the_tour_is_there() -> None:
    tour = PAGE.read_text(encoding="utf-8").split("## The way of a Deployment")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z]+(?:/[a-z]+)?)`", tour))
    missing = {
        name for name in named
        if not (PAGE.parent / f"{name}.py").exists() and not (PAGE.parent / name).is_dir()
    }  # fmt: skip
    assert missing == set()
    assert len(named) > 30
