"""Where one learner stands, and where a class does."""

import pytest

from lab_utils.course.records import Records
from lab_utils.course.standing import collect, find_stuck, progress
from lab_utils.errors import InvalidInput


def write(folder, *, predicted, measured, outcome="PASS"):
    records = Records(folder)
    records.append("prediction", "07.3", value=predicted)
    records.append("verdict", "07.3", outcome=outcome, why="", value=measured)
    return records


def row(table):
    return table.set_index("check").loc["07.3"]


def test_progress_has_a_row_per_check_also_before_anything_was_run(tmp_path):
    table = progress(Records(tmp_path))
    assert (table["verdict"] == "").all()
    assert table["predicted"].isna().all()
    assert "07.3" in set(table["check"])


def test_progress_shows_prediction_measurement_and_how_far_apart_they_are(tmp_path):
    seen = row(progress(write(tmp_path, predicted=15, measured=7)))
    assert (seen["predicted"], seen["measured"], seen["verdict"]) == (15, 7, "PASS")
    assert seen["off_by"] == pytest.approx(2.0)


def test_a_class_is_pooled_without_names(tmp_path):
    for name, predicted in (("ann", 3), ("bob", 31)):
        write(tmp_path / name, predicted=predicted, measured=7)
    pooled = collect(tmp_path)
    assert pooled["learner"].nunique() == 2
    assert sorted(pooled["predicted"].dropna()) == [3, 31]
    assert not pooled.astype(str).apply(lambda column: column.str.contains("ann")).any(axis=None)


def test_the_class_table_says_who_got_how_far(tmp_path):
    write(tmp_path / "a", predicted=7, measured=7)
    write(tmp_path / "b", predicted=15, measured=7, outcome="FAIL")
    stuck = find_stuck(collect(tmp_path)).set_index("check").loc["07.3"]
    assert (stuck["passed"], stuck["failed"], stuck["unknown"]) == (1, 1, 0)
    assert stuck["median_off_by"] == pytest.approx(1.5)


def test_a_folder_without_learners_says_what_is_wanted(tmp_path):
    with pytest.raises(InvalidInput, match=r"want one learner\.jsonl per learner"):
        collect(tmp_path)
