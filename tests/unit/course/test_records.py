"""The learner's file survives what a class does to it."""

import json
import subprocess
import sys

import pytest

from lab_utils.course.records import Records, read_records
from lab_utils.errors import InvalidInput

WRITE = """
import sys
from pathlib import Path
from lab_utils.course.records import Records
for number in range(50):
    Records(Path(sys.argv[1])).append("prediction", f"{sys.argv[2]}.{number}", value=number)
"""


def test_what_is_appended_is_read_back_in_order(tmp_path):
    records = Records(tmp_path / "results")
    records.append("prediction", "07.3", value=7.0)
    records.append("verdict", "07.3", outcome="PASS")
    assert [(r["kind"], r["check"]) for r in records.read()] == [
        ("prediction", "07.3"),
        ("verdict", "07.3"),
    ]


def test_nothing_is_made_before_the_first_line(tmp_path):
    assert Records(tmp_path / "results").read() == []
    assert not (tmp_path / "results").exists()


def test_a_second_answer_wins_and_the_first_is_kept(tmp_path):
    records = Records(tmp_path)
    records.append("prediction", "07.3", value=7.0)
    records.append("prediction", "07.3", value=9.0)
    assert records.latest("prediction")["07.3"]["value"] == 9.0
    assert len(records.read()) == 2


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path):
    records = Records(tmp_path)
    records.append("prediction", "07.3", value=7.0)
    with records.path.open("ab") as file:
        file.write(b'{"kind": "verdict", "che')
    records.append("verdict", "07.4", outcome="PASS")
    assert [record["check"] for record in records.read()] == ["07.3", "07.4"]


def test_two_kernels_write_one_file_in_turn(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(tmp_path), name]) for name in "ab"
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    lines = (tmp_path / "learner.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 101
    assert len(Records(tmp_path).read()) == 100


def test_a_learner_is_a_random_number_and_the_file_is_their_own(tmp_path):
    for name in ("one", "two"):
        Records(tmp_path / name).append("prediction", "07.3", value=1.0)
    paths = [tmp_path / name / "learner.jsonl" for name in ("one", "two")]
    learners = {read_records(path)[0]["learner"] for path in paths}
    assert len(learners) == 2
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}


def test_a_folder_that_cannot_be_made_names_the_variable_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="LAB_RESULTS_DIR"):
        Records(tmp_path / "file" / "results").append("prediction", "07.3", value=1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a learner's file"),
        ('{"kind": "verdict"}\n', "is not a learner's file"),
        ("[1, 2]\n", "is not a learner's file"),
        ('{"kind": "learner", "id": "a", "format": 99}\n', "written by a later lab"),
    ],
    ids=["empty", "no-head", "not-an-object", "later"],
)
def test_a_file_that_is_not_a_learners_is_refused(tmp_path, text, message):
    path = tmp_path / "learner.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_records(path)
