"""A learner's page and a teacher's: made from files, opened without a server."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from typer.testing import CliRunner

from lab_utils import charts, cli
from lab_utils.course.pages import write_class_page, write_learner_page
from lab_utils.course.records import Records
from lab_utils.errors import InvalidInput
from tests.tools.made_runs import made_run

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _style():
    with charts.style():
        yield
    plt.close("all")


def learner(folder, predicted, measured=7, outcome="PASS"):
    records = Records(folder)
    records.append("prediction", "07.3", value=predicted)
    records.append("verdict", "07.3", outcome=outcome, why="", value=measured)
    return records


def test_a_learner_s_page_holds_checks_runs_and_environment(tmp_path):
    kept = made_run().save(tmp_path / "kept")
    page = write_learner_page(learner(tmp_path, 9), [kept, tmp_path / "gone"], tmp_path / "my.html")
    text = page.read_text()
    assert "1 of" in text
    assert "07.3" in text
    assert text.count("<img alt=") == 2
    assert "matplotlib" in text
    assert "http" not in text.replace("data:image/png", "").split("<body>")[0]


def test_without_anything_to_report_it_says_what_to_do(tmp_path):
    with pytest.raises(InvalidInput, match="run a notebook first"):
        write_learner_page(Records(tmp_path), [], tmp_path / "my.html")
    assert not (tmp_path / "my.html").exists()


def test_a_class_gets_one_page_and_two_tables(tmp_path):
    for name, predicted, outcome in (("a", 3, "PASS"), ("b", 40, "FAIL"), ("c", 7, "PASS")):
        learner(tmp_path / "files" / name, predicted, outcome=outcome)
    page = write_class_page(tmp_path / "files", tmp_path / "out" / "class.html")
    assert "3 learners" in page.read_text()
    checks = pd.read_csv(tmp_path / "out" / "checks.csv", dtype={"check": str})
    assert checks.loc[0, ["check", "passed", "failed"]].tolist() == ["07.3", 2, 1]
    assert (tmp_path / "out" / "standing.csv").is_file()


def test_the_command_pools_a_folder_and_refuses_one_without_learners(tmp_path):
    learner(tmp_path / "files", 7)
    page = tmp_path / "class.html"
    done = CliRunner().invoke(
        cli.app, ["class", "collect", str(tmp_path / "files"), "--page", str(page)]
    )
    assert (done.exit_code, done.output.strip()) == (0, str(page))
    (tmp_path / "empty").mkdir()
    refused = CliRunner().invoke(cli.app, ["class", "collect", str(tmp_path / "empty")])
    assert isinstance(refused.exception, InvalidInput)


def standing(*rows):
    columns = ["check", "predicted", "measured", "off_by"]
    return pd.DataFrame(rows, columns=columns)


def test_spread_puts_a_prediction_where_its_factor_says():
    ax = charts.spread(standing(("07.3", 15, 7, 2.0), ("00.1", 2, 5, 2.5)))
    diamonds = ax.get_lines()[-1]
    assert list(diamonds.get_xdata()) == pytest.approx([2.0, 0.4])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["07.3", "00.1"]
    assert ax.get_title(loc="left").startswith("50% of the predictions")


def test_stuck_names_the_check_that_holds_most_up():
    table = pd.DataFrame(
        {"check": ["07.3", "07.4"], "passed": [3, 1], "failed": [0, 1], "unknown": [0, 1]}
    )
    ax = charts.stuck(table)
    assert ax.get_title(loc="left") == "Most are stuck at 07.4 (n = 3 learners)"


def test_class_charts_without_rows_say_so():
    empty = pd.DataFrame(columns=["check", "passed", "failed", "unknown"])
    for ax in (charts.spread(standing()), charts.stuck(empty)):
        assert any("yet" in text.get_text() for text in ax.texts)
