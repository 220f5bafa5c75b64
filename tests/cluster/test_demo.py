"""The main job: its report holds what it says, and nothing of it is left running."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from lab_utils.session import Lab
from lab_utils.settings import load_settings

WANTED = {
    "backend", "seed", "versions", "requests", "ok", "p50_ms", "p95_ms", "p99_ms", "share_primary",
    "share_backup", "memory_peak_mib", "cpu_mean_cores", "throttled_share", "outage_s", "lost",
    "recovered", "wall_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "report"
    command = [sys.executable, "-m", "lab_utils.cli", "demo", "--report", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    return folder, done


def test_the_summary_has_every_figure(demo):
    folder, _ = demo
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) >= WANTED
    assert summary["recovered"] is True
    assert summary["wall_s"] <= 90
    for figure in ("memory_peak_mib", "cpu_mean_cores", "throttled_share"):
        assert set(summary[figure]) == {"primary", "backup"}


def test_the_figures_come_from_the_table_behind_them(demo):
    folder, done = demo
    summary = json.loads((folder / "summary.json").read_text())
    requests = pd.read_csv(folder / "requests.csv")
    assert summary["requests"] == len(requests)
    assert summary["ok"] == requests["ok"].sum()
    assert summary["lost"] == (~requests["ok"] & (requests["error"] != "cancelled")).sum()
    share = (requests["role"] == "primary").sum() / requests["ok"].sum()
    assert summary["share_primary"] == pytest.approx(share, abs=1e-6)
    assert f"Answered: {summary['ok']}; lost: {summary['lost']}." in done.stdout
    assert len(done.stdout.splitlines()) == 10


def test_the_page_needs_no_server_and_no_network(demo):
    folder, _ = demo
    page = (folder / "index.html").read_text()
    assert page.count('src="data:image/png;base64,') == 7
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert 'alt="Every request when it was due' in page
    assert {path.suffix for path in Path(folder).iterdir()} == {".html", ".png", ".csv", ".json"}


def test_every_step_was_shown(demo):
    _, done = demo
    steps = [line for line in done.stderr.splitlines() if line.startswith("... ")]
    assert len(steps) == 8


def test_nothing_is_left_running(demo):
    """Neither a daemon, by its arguments, nor a container, by its working folder."""
    state = str(Path(os.environ["LAB_STATE_DIR"], "embedded", "demo"))
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if state in " ".join([*process.cmdline(), process.cwd()]):
                left.append(process.cmdline())
    assert left == []


def test_interrupted_it_ends_the_cluster_and_writes_no_report(tmp_path):
    command = [sys.executable, "-m", "lab_utils.cli", "demo", "--report", str(tmp_path / "report")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0) as running:
        for line in running.stderr:
            if line.startswith("... Fire"):
                break
        os.killpg(running.pid, signal.SIGINT)
        last = running.stderr.read()
    assert running.returncode != 0
    assert "Traceback" not in last
    assert not (tmp_path / "report").exists()
    assert not Lab(load_settings(cluster="demo")).backend.is_running()
