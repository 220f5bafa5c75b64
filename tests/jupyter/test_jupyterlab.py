"""JupyterLab as a learner sees it: cells run with a click in a real browser.

Needs Chromium on the machine; without it the tests are skipped, and where LAB_REQUIRE_CHROMIUM is
set they fail.
"""

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.tools.jupyterlab import CHROMIUM, ERROR, Notebook, launch_browser, serve

CHECK = re.compile(r'lab\.check\(\s*"(\d\d\.\d+)"')
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("learner")) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        say = pytest.fail if os.environ.get("LAB_REQUIRE_CHROMIUM") else pytest.skip
        say("no Chromium on this machine: on Debian, apt install chromium")
    with launch_browser() as browser:
        yield browser


@pytest.fixture
def page(browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    yield page
    page.close()


def verdicts(notebook: Notebook) -> dict[str, str]:
    """Give what the page says of each check."""
    text = notebook.panel.text_content() or ""
    return {
        number: found for found, number in re.findall(r"(PASS|FAIL|UNKNOWN) (\d\d\.\d+):", text)
    }


def asked(notebook: Notebook) -> set[str]:
    """Give the checks that a notebook's cells ask for."""
    return set(CHECK.findall("\n".join(notebook.sources())))


def test_the_first_notebook_runs_cell_by_cell_and_shows_progress_and_tables(jupyter, page):
    notebook = Notebook(page, jupyter, "00_preflight.ipynb")
    started = notebook.start(notebook.find("import lab_utils"))
    notebook.finish(0)
    assert started.locator(".jp-OutputArea-output").count() == 0
    notebook.run_all()
    assert verdicts(notebook) == dict.fromkeys(asked(notebook), "PASS")
    bars = notebook.panel.locator(".jp-OutputArea-output progress")
    assert bars.count() >= 3  # up, build, load, wait: each left its bar behind
    assert notebook.panel.locator(".jp-OutputArea-output table").count() >= 4


def test_a_run_is_watched_live_and_an_interrupt_gives_control_back_within_a_second(jupyter, page):
    notebook = Notebook(page, jupyter, "07_failover.ipynb")
    notebook.run(notebook.find("import lab_utils"))
    notebook.run(notebook.find("lab.ensure()"))
    fire = notebook.write("watched = lab.fire(rate_rps=20, duration_s=60)")
    cell = notebook.start(fire)
    expect(cell.locator("progress")).to_be_visible(timeout=30_000)
    expect(cell).to_contain_text(re.compile(r"[1-9]\d* sent"), timeout=30_000)
    live = cell.get_by_alt_text(
        re.compile(r"^[1-9]\d* answered, 0 failed, median latency now \d+ ms")
    )
    expect(live).to_be_visible(timeout=30_000)
    assert live.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    seen = live.get_attribute("alt")
    expect(live).not_to_have_attribute("alt", seen or "", timeout=10_000)  # it goes on
    assert notebook.time_press("notebook:interrupt-kernel", fire) <= 1.0
    notebook.finish(fire)
    assert notebook.ask("watched.interrupted") == "True"
    assert int(notebook.ask("len(watched.requests)")) > 0
    assert notebook.ask("lab.history()['interrupted'].iloc[0]") in ("True", "np.True_")


def test_after_a_restart_a_cell_says_what_to_run_first_and_the_notebook_carries_on(jupyter, page):
    notebook = Notebook(page, jupyter, "07_failover.ipynb")
    notebook.restart()
    check = notebook.find('lab.check("07.1"')
    error = notebook.start(check).locator(ERROR)
    expect(error).to_contain_text("lab is not there yet: run the cell under", timeout=30_000)
    assert "Traceback" not in error.inner_text()
    notebook.run_all()
    found = verdicts(notebook)
    assert found.keys() == asked(notebook)
    assert "FAIL" not in found.values()
    figures = notebook.panel.get_by_alt_text(re.compile("^Chart"))
    drawn = [source for source in notebook.sources() if "lab.charts." in source]
    assert figures.count() == len(drawn) - 1  # all but use_style()
