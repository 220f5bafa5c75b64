"""JupyterLab as a learner sees it: cells run with a click in a real browser.

Needs Chromium on the machine; without it the tests are skipped, and where LAB_REQUIRE_CHROMIUM is
set they fail. The notebooks are copies, and so is everything the lab keeps.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from lab_utils.controlplane import launch
from lab_utils.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
CELL_TIMEOUT_MS = 180_000
HAS_RUN = re.compile(r"^\[\d+\]:$")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory) -> Iterator[str]:
    """Start JupyterLab on copies of the notebooks, and give its address with the token."""
    home = tmp_path_factory.mktemp("learner")
    copy_notebooks(home / "notebooks")
    quiet = {"PYTEST_VERSION", "LAB_QUIET"}  # a learner sees progress
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {
        "HOME": str(home),
        "JUPYTER_TOKEN": secrets.token_hex(16),
        "LAB_STATE_DIR": str(home / "state"),
        "LAB_RESULTS_DIR": str(home / "results"),
        "LAB_PROFILE": "quick",
        "LAB_BACKEND": "embedded",
    }
    port = free_port()
    options = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"]
    command = [sys.executable, "-m", "jupyter", "lab", *options, str(home / "notebooks")]
    with (home / "jupyter.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)
    try:
        url = f"http://127.0.0.1:{port}"
        late = AssertionError(f"JupyterLab does not answer; see {home / 'jupyter.log'}")
        wait_for(lambda: answers(f"{url}/api"), timeout_s=60, late=lambda: late)
        yield f"{url}/lab/tree/{{}}?reset&token={environment['JUPYTER_TOKEN']}"
    finally:
        server.terminate()
        server.wait(timeout=30)
        for root in (home / "state").glob("embedded/*"):
            launch.stop(root)


def copy_notebooks(folder: Path) -> None:
    """Copy the notebooks without their outputs: what a test sees then is new."""
    folder.mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
        (folder / path.name).write_text(json.dumps(notebook))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(url: str) -> bool | None:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return None


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        say = pytest.fail if os.environ.get("LAB_REQUIRE_CHROMIUM") else pytest.skip
        say("no Chromium on this machine: on Debian, apt install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
    ):
        yield browser


@pytest.fixture
def page(browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    yield page
    page.close()


class Notebook:
    """One open notebook: its code cells in order, run by the toolbar's buttons."""

    def __init__(self, page: Page, url: str, name: str) -> None:
        self.page, self.name = page, name
        page.goto(url.format(name))
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.cells = self.panel.locator(".jp-CodeCell")
        expect(self.cells.first).to_be_visible(timeout=60_000)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel has nothing to do; the toolbar's circle is too early with it."""
        idle = self.page.get_by_text("Python 3 (ipykernel) | Idle")
        expect(idle).to_be_visible(timeout=60_000)

    def start(self, number: int) -> Locator:
        """Click at a code cell and press the run button."""
        cell = self.cells.nth(number)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        self.press("notebook:run-cell-and-select-next")
        return cell

    def finish(self, number: int) -> Locator:
        """Wait until a code cell has run, and give it; an error in it is the test's."""
        cell = self.cells.nth(number)
        prompt = cell.locator(".jp-InputPrompt")
        expect(prompt).to_have_text(HAS_RUN, timeout=CELL_TIMEOUT_MS)
        failed = cell.locator('[data-mime-type="application/vnd.jupyter.error"]')
        assert failed.count() == 0, failed.first.inner_text()
        return cell

    def run(self, number: int) -> Locator:
        """Run a code cell to its end."""
        self.start(number)
        return self.finish(number)

    def run_all(self) -> None:
        """Run every code cell, one click each."""
        for number in range(self.cells.count()):
            self.run(number)

    def press(self, command: str) -> None:
        """Press the toolbar's button of a command."""
        self.panel.locator(f'.jp-NotebookPanel-toolbar [data-command="{command}"]').click()

    def find(self, source: str) -> int:
        """Find the first code cell with a text in it."""
        cells = json.loads((ROOT / "notebooks" / self.name).read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        return next(number for number, text in enumerate(code) if source in text)

    def ask(self, source: str) -> str:
        """Run a line in a new cell below the selected one, and give what it shows."""
        before = self.cells.count()
        self.press("notebook:insert-cell-below")
        expect(self.cells).to_have_count(before + 1)
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(source)
        cell = self.panel.locator(".jp-CodeCell.jp-mod-selected, .jp-CodeCell.jp-mod-active").first
        place = next(
            number for number in range(before + 1)
            if source in self.cells.nth(number).inner_text()
        )  # fmt: skip
        expect(cell).to_be_visible()
        self.press("notebook:run-cell-and-select-next")
        return self.finish(place).locator(".jp-OutputArea-output").first.inner_text().strip()


def test_the_first_notebook_runs_cell_by_cell_and_shows_progress_and_tables(jupyter, page):
    notebook = Notebook(page, jupyter, "00_preflight.ipynb")
    started = notebook.start(notebook.find("import lab_utils"))
    notebook.finish(0)
    assert started.locator(".jp-OutputArea-output").count() == 0
    notebook.run_all()
    text = notebook.panel.text_content() or ""
    assert [f"PASS 00.{k}" in text for k in (1, 2, 3)] == [True] * 3
    bars = notebook.panel.locator(".jp-OutputArea-output progress")
    assert bars.count() >= 3  # up, build, load, wait: each left its bar behind
    assert notebook.panel.locator(".jp-OutputArea-output table").count() >= 4


def test_an_interrupt_gives_control_back_and_keeps_the_part_that_ran(jupyter, page):
    notebook = Notebook(page, jupyter, "07_failover.ipynb")
    notebook.run(notebook.find("import lab_utils"))
    notebook.run(notebook.find("lab.ensure()"))
    fire = notebook.find("steady = lab.fire(")
    cell = notebook.start(fire)
    expect(cell.locator("progress")).to_be_visible(timeout=30_000)
    expect(cell).to_contain_text(re.compile(r"[1-9]\d* sent"), timeout=30_000)
    pressed_s = time.monotonic()
    notebook.press("notebook:interrupt-kernel")
    notebook.finish(fire)
    assert time.monotonic() - pressed_s < 2.0  # one of them for the browser
    assert notebook.ask("steady.interrupted") == "True"
    assert int(notebook.ask("len(steady.requests)")) > 0


def test_after_a_restart_of_the_kernel_the_notebook_finds_its_cluster_again(jupyter, page):
    notebook = Notebook(page, jupyter, "07_failover.ipynb")
    notebook.press("notebook:restart-kernel")
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    notebook.wait_for_kernel()
    notebook.run_all()
    text = notebook.panel.text_content() or ""
    assert [f"PASS 07.{k}:" in text for k in range(1, 11)] == [True] * 10
    assert notebook.panel.locator(".jp-OutputArea-output img").count() >= 5
