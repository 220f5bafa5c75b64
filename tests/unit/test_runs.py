"""A run is saved as a whole and loads back equal."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab_utils.errors import InvalidInput
from lab_utils.runs import FORMAT, Run
from lab_utils.tables import SCHEMAS, make_table
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


def test_a_run_of_the_first_format_still_loads(tmp_path):
    run = made_run()
    folder = run.save(tmp_path / "old")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(about | {"format": 1}))
    for name in ("states", "kubelet", "gaps"):
        (folder / f"{name}.csv").unlink()
    attempts = folder / "attempts.csv"
    attempts.write_text(attempts.read_text().replace(",hedge,endpoint", ""))
    assert Run.load(folder) == run


def test_a_run_of_a_later_format_is_refused(tmp_path):
    folder = made_run().save(tmp_path / "new")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(about | {"format": FORMAT + 1}))
    with pytest.raises(InvalidInput, match="update the lab"):
        Run.load(folder)


def run_of(latency_s, first=0, step=1, started_s=0.0):
    """Make a run of successes, one every 0.1 s, of which each took as long as it says."""
    due_s = np.arange(len(latency_s)) * 0.1
    columns = {
        "request_id": first + step * np.arange(len(latency_s)), "scheduled_s": due_s,
        "sent_s": due_s, "done_s": due_s + latency_s, "latency_s": latency_s, "ok": True,
    }  # fmt: skip
    table = pd.DataFrame(columns)
    run = made_run()
    return replace(
        run,
        requests=make_table("requests", table),
        schedule=make_table("schedule", table[["request_id", "scheduled_s"]]),
        started_at=run.started_at + timedelta(seconds=started_s),
        interrupted=False,
    )


def test_two_runs_side_by_side_differ_where_their_intervals_do_not_overlap():
    chance = np.random.default_rng(1)
    slow, quick = (run_of(chance.exponential(mean_s, 500)) for mean_s in (0.2, 0.1))
    table = slow.compare(quick).set_index("figure")
    assert list(table.index) == ["availability", "p50_s", "p95_s", "p99_s"]
    assert table["differs"].tolist()[:3] == [False, True, True]
    assert table["this"]["p50_s"] > table["other"]["p50_s"]
    assert not slow.compare(slow)["differs"].any()


def test_shares_of_one_schedule_become_one_run_on_one_clock():
    even, odd = run_of(np.full(5, 0.1), 0, 2), run_of(np.full(5, 0.2), 1, 2, started_s=0.05)
    joint = even.merge(odd)
    assert joint.requests["request_id"].tolist() == list(range(10))
    assert joint.requests["scheduled_s"].tolist() == pytest.approx(np.arange(10) * 0.05)
    assert joint.settings["rate_rps"] == 20.0
    assert joint.requests["latency_s"].sum() == pytest.approx(1.5)


def test_runs_with_the_same_numbers_are_numbered_anew():
    joint = run_of(np.full(3, 0.1)).merge(run_of(np.full(2, 0.1), started_s=9.0))
    assert joint.requests["request_id"].tolist() == [0, 1, 2, 3, 4]
    assert joint.schedule["scheduled_s"].max() == pytest.approx(9.1)
    assert "rate_rps" not in joint.settings  # that of the whole is not that of a part


def test_the_part_of_a_run_that_one_role_answered_has_its_rows_only():
    run = run_of(np.full(4, 0.1))
    by_turns = run.requests.assign(role=["primary", "backup"] * 2)
    part = replace(run, requests=by_turns).of("backup")
    assert list(part.requests["request_id"]) == list(part.schedule["request_id"]) == [1, 3]
    assert part.validity.valid


def test_a_merged_run_was_interrupted_if_a_part_was():
    assert (
        run_of(np.full(3, 0.1))
        .merge(replace(run_of(np.full(3, 0.1)), interrupted=True))
        .interrupted
    )


def test_the_reference_names_every_table_and_column():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "runs.md").read_text()
    rows = dict(re.findall(r"^\| (\w+) \|[^|]*\| (.*) \|$", text, re.MULTILINE))
    documented = {
        name: set(re.findall(r"\w+", re.sub(r"\([^)]*\)", "", row))) for name, row in rows.items()
    }
    for name, columns in SCHEMAS.items():
        assert documented[name] == set(columns), name
