"""JupyterLab in a real browser, as a learner sees it: cells run with a click.

For the end-to-end tests and for the screenshots of the documentation. The notebooks are copies, and
so is everything the lab keeps.
"""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from lab_utils import kernel
from lab_utils.controlplane import launch
from lab_utils.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
CELL_TIMEOUT_MS = 180_000
ERROR = '[data-mime-type="application/vnd.jupyter.stderr"]'
"""Where JupyterLab shows an error or a warning."""
HAS_RUN = re.compile(r"^\[\d+\]:$")
_CLOCK_THE_NEXT_CLICK = r"""
prompt => {
  window.labTook = new Promise(done => document.addEventListener("mousedown", () => {
    const start = performance.now();
    const look = () => /^\[\d+\]:$/.test(prompt.textContent.trim())
      ? done((performance.now() - start) / 1000) : requestAnimationFrame(look);
    look();
  }, {once: true, capture: true}));
}
"""


@contextmanager
def serve(home: Path, profile: str = "quick") -> Iterator[str]:
    """Start JupyterLab on copies of the notebooks, and give its address with the token.

    Args:
        home: An empty folder: the learner's home, state and results.
        profile: LAB_PROFILE.

    Yields:
        The address of a notebook, with {} for its name.
    """
    copy_notebooks(home / "notebooks")
    kernel.install()  # as `make setup` does; an environment made by hand may lack it
    quiet = {"PYTEST_VERSION", "LAB_QUIET"}  # a learner sees progress
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {
        "HOME": str(home),
        "JUPYTER_TOKEN": secrets.token_hex(16),
        "LAB_STATE_DIR": str(home / "state"),
        "LAB_RESULTS_DIR": str(home / "results"),
        "LAB_PROFILE": profile,
        "LAB_BACKEND": "embedded",
        "LAB_CLUSTER": "lab",
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
        end(server)
        for root in (home / "state").glob("embedded/*"):
            launch.stop(root)


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server; one that waits for a busy kernel is killed, and its kernels end with it."""
    server.terminate()
    try:
        server.wait(timeout=30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def copy_notebooks(folder: Path) -> None:
    """Copy the notebooks without their outputs: what is seen then is new."""
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


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """Start the system's Chromium without a window."""
    assert CHROMIUM is not None, "no Chromium on this machine: on Debian, apt install chromium"
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser,
    ):
        yield browser


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
        failed = cell.locator(ERROR)
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

    def time_press(self, command: str, number: int) -> float:
        """Press a button, and give the seconds until a code cell is no longer running.

        The page's own clock: what the test and the browser tell each other is not in it.
        """
        prompt = self.cells.nth(number).locator(".jp-InputPrompt")
        prompt.evaluate(_CLOCK_THE_NEXT_CLICK)
        self.press(command)
        return float(self.page.evaluate("window.labTook"))

    def restart(self) -> None:
        """Restart the kernel, and wait for the new one."""
        self.press("notebook:restart-kernel")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        expect(self.page.locator(".jp-Dialog")).to_have_count(0)
        self.wait_for_kernel()

    def sources(self) -> list[str]:
        """Give the code cells as they are in the repository."""
        cells = json.loads((ROOT / "notebooks" / self.name).read_text())["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]

    def find(self, source: str) -> int:
        """Find the first code cell with a text in it."""
        return next(number for number, text in enumerate(self.sources()) if source in text)

    def write(self, source: str) -> int:
        """Write a line into a new cell below the selected one, and give the cell's number."""
        before = self.cells.count()
        self.press("notebook:insert-cell-below")
        expect(self.cells).to_have_count(before + 1)
        self.page.keyboard.press("Enter")
        self.page.keyboard.insert_text(source)
        written = (n for n in range(before + 1) if source in self.cells.nth(n).inner_text())
        return next(written)

    def ask(self, source: str) -> str:
        """Run a line in a new cell below the selected one, and give what it shows."""
        output = self.run(self.write(source)).locator(".jp-OutputArea-output")
        return output.first.inner_text().strip()
