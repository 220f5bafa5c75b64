"""Take the documentation's pictures of JupyterLab: a prediction asked for, and a run that lasts.

    python -m tests.tools.make_screenshots

Real: a browser, a kernel, a cluster, a primary that is killed. Writes docs/jupyterlab/*.png.
"""

import io
import re
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.tools.jupyterlab import ROOT, Notebook, launch_browser, serve

FOLDER = ROOT / "docs" / "jupyterlab"
_SIZE = {"width": 1180, "height": 820}
_DISTRACTIONS = ".Toastify, .jp-toast-container { display: none !important }"


def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as home,
        serve(Path(home), "full") as url,
        launch_browser() as browser,
    ):
        page = browser.new_page(viewport=_SIZE, device_scale_factor=1.25)
        notebook = Notebook(page, url, "07_failover.ipynb")
        page.add_style_tag(content=_DISTRACTIONS)
        page.keyboard.press("Control+b")  # the file browser's place is needed
        kill = notebook.find("a = lab.fire(")
        for number in range(kill):
            notebook.run(number)
        predict = notebook.find('lab.predict("07.3"')
        _take(page, notebook.cells.nth(predict), "predict")
        running = notebook.start(kill)
        lost = running.get_by_alt_text(re.compile(r"answered, [1-9]\d* failed"))
        expect(lost).to_be_visible(timeout=60_000)
        expect(running).to_contain_text(re.compile(r"Firing 1\d s"), timeout=60_000)
        _take(page, running, "live")


def _take(page: Page, cell: Locator, name: str) -> None:
    """Save the page with a cell in its lower half, in 128 colours: a third of the size."""
    cell.evaluate("cell => cell.scrollIntoView({block: 'end'})")
    page.mouse.wheel(0, 120)
    cell.locator(".jp-InputPrompt").click()
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").quantize(128).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
