"""The support matrix says what the tables say."""

import re

from lab_utils.controlplane.kinds import BY_NAME
from tests.tools.make_matrix import REFUSED, TARGET, render


def test_the_support_matrix_is_that_of_the_tables() -> None:
    page = TARGET.read_text()
    assert render(page) == page, "run `python -m tests.tools.make_matrix`"


def test_nothing_that_is_refused_is_served() -> None:
    refused = {name for names in REFUSED for name in re.findall(r"\w+", names)}
    assert refused.isdisjoint(BY_NAME)


def test_every_module_that_the_tour_visits_is_there() -> None:
    folder, text = TARGET.parent, TARGET.read_text().split("## Support matrix")[0]
    known = {path.name for path in folder.rglob("*.py")}
    named = set(re.findall(r"`(?:\w+/)?(\w+\.py)`", text))
    assert len(named) > 30
    assert named <= known
