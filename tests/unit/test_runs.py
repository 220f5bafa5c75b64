"""A run is saved as a whole and loads back equal."""

from dataclasses import replace

import pytest

from lab_utils.errors import InvalidInput
from lab_utils.runs import Run
from tests.tools.made_runs import made_run


def test_a_saved_run_loads_back_equal(tmp_path):
    run = made_run()
    assert Run.load(run.save(tmp_path / "runs" / "one")) == run


def test_runs_with_another_cell_or_another_setting_are_not_equal():
    run = made_run()
    assert run != replace(run, seed=8)
    assert run != replace(run, requests=run.requests.assign(latency_s=0.5))


def test_saving_again_replaces_the_run_and_leaves_nothing_else(tmp_path):
    run = made_run()
    run.save(tmp_path / "one")
    replace(run, seed=8).save(tmp_path / "one")
    assert Run.load(tmp_path / "one").seed == 8
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_that_is_no_run_is_not_touched(tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(InvalidInput, match="is not a run"):
        made_run().save(tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "x"


def test_a_save_that_fails_keeps_the_run_that_was_there(tmp_path):
    run = made_run()
    run.save(tmp_path / "one")
    with pytest.raises(TypeError):
        replace(run, settings={"bad": object()}).save(tmp_path / "one")
    assert Run.load(tmp_path / "one") == run
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_folder_without_a_run_cannot_be_loaded(tmp_path):
    with pytest.raises(InvalidInput, match="is not a run"):
        Run.load(tmp_path)


def test_a_run_says_its_main_figures_in_one_line():
    assert repr(made_run()) == "Run(2 requests, 1 ok, 0 outages, seed 7, interrupted)"
