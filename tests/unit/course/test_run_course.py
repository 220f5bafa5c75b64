"""The tool that runs the course over and over plans its worlds and counts its verdicts."""

import pytest

from tests.tools.run_course import Played, make_worlds, tabulate_claims, tabulate_times


def played(notebook, took_s=10.0, error="", **outcomes):
    verdicts = {
        f"{notebook}.{number.removeprefix('c')}": {"outcome": outcome, "why": f"saw {outcome}"}
        for number, outcome in outcomes.items()
    }
    return Played("w", notebook, took_s, error, verdicts)


@pytest.mark.parametrize(
    ("order", "shares"),
    [
        ("forward", [("00", "07"), ("00", "07")]),
        ("reverse", [("07", "00"), ("07", "00")]),
        ("alone", [("00",), ("07",), ("00",), ("07",)]),
    ],
)
def test_worlds_have_notebooks_in_the_order_asked_for_and_names_of_their_own(order, shares):
    worlds = make_worlds(["00", "07"], 2, order, seeds=False)
    assert [world.notebooks for world in worlds] == shares
    assert len({world.name for world in worlds}) == len(worlds)


def test_rounds_share_the_courses_seed_unless_each_is_to_have_its_own():
    seeds = {
        own: [world.seed for world in make_worlds(["00"], 3, "forward", seeds=own)]
        for own in (False, True)
    }
    assert seeds == {False: [1, 1, 1], True: [1, 2, 3]}


def test_verdicts_are_counted_and_a_claim_never_reached_is_missing():
    runs = [played("07", c1="PASS", c2="UNKNOWN"), played("07", c1="FAIL"), played("00", c1="PASS")]
    table = tabulate_claims(runs, ["07.1", "07.2"]).set_index("check")
    assert table.loc["07.1", ["PASS", "FAIL", "UNKNOWN", "missing"]].tolist() == [1, 1, 0, 0]
    assert table.loc["07.2", ["PASS", "FAIL", "UNKNOWN", "missing"]].tolist() == [0, 0, 1, 1]
    assert table["why"].tolist() == ["FAIL: saw FAIL", "UNKNOWN: saw UNKNOWN"]


def test_times_are_summed_up_per_notebook():
    table = tabulate_times([played("07", 10.0), played("07", 30.0, error="no"), played("00", 5.0)])
    assert table.to_numpy().tolist() == [
        ["00", 1, 0, 5.0, 5.0, 5.0],
        ["07", 2, 1, 10.0, 20.0, 30.0],
    ]
