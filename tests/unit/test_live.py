"""The chart of a run that is not over: what it says, what it costs, where it is shown."""

import base64
import re
import time
from xml.etree import ElementTree

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from lab_utils.live import Sketch

WORK = """
import time
from lab_utils.bars import track
from lab_utils.live import Sketch
rows = []
with track("Firing", 20) as bar:
    bar.show(Sketch(rows).draw)
    for i in range(20):
        rows.append({"scheduled_s": i / 10, "decisive": 1, "attempts": [{"done_s": i / 10 + .02, "ok": i != 7}]})
        bar.reach(len(rows))
"""  # noqa: E501


def row(scheduled_s, latency_s=0.02, ok=True, **more):
    attempts = [{"done_s": scheduled_s + latency_s, "ok": ok}]
    return {"scheduled_s": scheduled_s, "decisive": 1, "attempts": attempts} | more


def svg_of(image):
    data = re.search(r"base64,([^\"]+)", image)[1]
    return ElementTree.fromstring(base64.b64decode(data))  # noqa: S314 - our own


def count(svg, tag):
    return len(svg.findall(f".//{{http://www.w3.org/2000/svg}}{tag}"))


def test_nothing_is_drawn_before_the_first_answer():
    assert Sketch([]).draw() == ""
    assert Sketch([row(0.0, error="cancelled")]).draw() == ""


def test_each_second_with_answers_is_a_dot_and_failures_are_crosses():
    rows = [row(i / 10, ok=not 20 <= i < 25) for i in range(50)]
    svg = svg_of(Sketch(rows).draw())
    assert count(svg, "circle") == 5
    assert count(svg, "path") == 2  # the axes, and one second with failures


def test_the_chart_is_said_in_words_too():
    rows = [row(0.1), row(0.2, 0.05), row(0.3, ok=False), {"scheduled_s": 0.4, "attempts": [{}]}]
    assert 'alt="2 answered, 2 failed, median latency now 50 ms"' in Sketch(rows).draw()


def test_failures_alone_can_be_drawn():
    assert "0 answered, 1 failed" in Sketch([row(0.1, ok=False)]).draw()


def test_a_list_that_grows_is_read_once_and_a_long_run_keeps_its_size():
    rows = []
    sketch = Sketch(rows)
    for i in range(1000):
        rows.append(row(float(i)))
        image = sketch.draw() if i % 100 == 0 else ""
    image = sketch.draw()
    assert 'alt="1,000 answered' in image
    assert count(svg_of(image), "circle") <= 90


def test_two_hundred_thousand_requests_are_sketched_in_a_second():
    rows = [row(i / 1000) for i in range(200_000)]
    started_s = time.process_time()
    Sketch(rows).draw()
    assert time.process_time() - started_s < 1.5


def test_a_notebook_shows_the_last_state_in_place_and_so_does_its_page(monkeypatch):
    for name in ("LAB_QUIET", "PYTEST_VERSION"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WORK)])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    [output] = notebook.cells[0].outputs
    assert "19 answered, 1 failed" in output["data"]["text/html"]
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count('alt="19 answered, 1 failed') == 1
