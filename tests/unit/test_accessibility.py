"""Those who do not see a page get it all the same: words for every picture, headings in order."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

import lab_utils as lab
from lab_utils.report import write_report

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("[0-9][0-9]_*.ipynb"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FEWEST_LETTERS = 30
"""A text of less says that there is a picture, not what is on it."""


class Reader(HTMLParser):
    """Reads a page as a screen reader does: headings, and what pictures say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.pictures: list[str] = []
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        elif tag == "img":
            self.pictures.append(given.get("alt") or "")
        elif tag == "html":
            self.language = given.get("lang") or ""


def assert_in_order(levels: list[int]) -> None:
    """One title, and no level left out on the way down."""
    assert levels[:1] == [1]
    assert levels.count(1) == 1
    assert [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1] == []


def prose_of(path: Path) -> str:
    """Give the Markdown of a file without its code."""
    return re.sub(r"^(```|~~~).*?^\1", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def levels_of(markdown: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", markdown, re.MULTILINE)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebooks_headings_are_in_order(path):
    cells = json.loads(path.read_text())["cells"]
    prose = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert_in_order(levels_of("\n".join(prose)))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebooks_figures_have_words(path):
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    words = [figure["metadata"].get("image/png", {}).get("alt", "") for figure in figures]
    without = [text for text in words if len(text) < FEWEST_LETTERS]
    assert without == [], f"lab run {path.stem[:2]} --save writes them"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_pages_headings_are_in_order_and_its_pictures_have_words(path):
    text = prose_of(path)
    assert_in_order(levels_of(text))
    pictures = re.findall(r"!\[([^\]]*)\]\((?!\S*badge)", text)  # of a badge its name is enough
    assert [words for words in pictures if len(words) < FEWEST_LETTERS] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build the site, where a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_the_site_can_be_read_without_being_seen(site):
    pages = [path for path in site.rglob("*.html") if path.stem not in ("genindex", "search")]
    assert {"index", "tutorial", "glossary"} <= {path.stem for path in pages}
    for path in pages:
        page = Reader(path.read_text())
        assert page.language == "en"
        assert_in_order(page.levels)
        assert "" not in page.pictures, path


def test_a_report_can_be_read_without_being_seen(tmp_path):
    run = lab.Run.load(ROOT / "docs" / "gallery" / "run")
    page = Reader(write_report(run, tmp_path / "report", findings=["One."]).read_text())
    assert page.language == "en"
    assert_in_order(page.levels)
    assert len(page.pictures) >= 5
    assert all(len(words) >= FEWEST_LETTERS for words in page.pictures)
