"""The page of a finished run: whole, alone, and honest about what it has not seen."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib as mpl
import pytest

from lab_utils import Run, write_report
from lab_utils.errors import InvalidInput
from lab_utils.tables import make_table
from tests.tools.made_runs import made_run, simple_run

mpl.use("Agg")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    rows = [
        {"request_id": i, "scheduled_s": i / 10, "done_s": i / 10 + 0.02, "ok": True,
         "latency_s": 0.02 + i / 1e5, "role": "primary" if i % 2 else "backup", "attempts": 1}
        for i in range(200)
    ]  # fmt: skip
    rows[100] |= {"ok": False, "error": "<reset>", "latency_s": None}
    events = [{"t_s": float(i), "reason": "Unhealthy"} for i in range(300)]
    run = simple_run(rows, events=events)
    folder = tmp_path_factory.mktemp("made") / "report"
    return run, write_report(run, folder, title="A <run>", findings=["It was & is."])


def test_the_page_is_whole_and_needs_nothing_else(report):
    _, page = report
    text = page.read_text()
    assert text.count('src="data:image/png;base64,') == 7
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "<h1>A &lt;run&gt;</h1>" in text
    assert "<li>It was &amp; is.</li>" in text
    assert "&lt;reset&gt;" in text

    class Balanced(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open_tags = []

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "img"):
                self.open_tags.append(tag)

        def handle_endtag(self, tag):
            assert self.open_tags.pop() == tag

    parser = Balanced()
    parser.feed(text)
    assert parser.open_tags == []


def test_the_tables_are_on_the_page_with_their_captions(report):
    _, page = report
    text = page.read_text()
    captions = re.findall(r"<caption>([^<]*)</caption>", text)
    assert captions == [
        "Figures",
        "Percentiles of the answers, with 95 % intervals",
        "Shares of the answers, and the band of a random choice",
        "Failed requests by class",
        "Events of the cluster, the first 200 of 300",
        "Settings of the load",
    ]
    assert "<td>n/a</td>" in text  # a bound of the p99 of 199 answers


def test_the_folder_is_a_run_and_a_summary(report):
    run, page = report
    assert Run.load(page.parent) == run
    assert json.loads((page.parent / "summary.json").read_text())["lost"] == 1


def test_a_report_is_replaced_and_nothing_else_is(report, tmp_path):
    run, page = report
    assert write_report(run, page.parent.parent / "report") == page
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="is not a report"):
        write_report(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_without_requests_has_a_page_too(tmp_path):
    nothing = replace(made_run(), requests=make_table("requests"), interrupted=False)
    text = write_report(nothing, tmp_path / "report").read_text()
    assert text.count("data:image/png") == 7


def test_an_invalid_run_says_so_first(tmp_path):
    rows = [{"request_id": i, "scheduled_s": i, "lag_s": 0.1, "sent_s": i + 0.1} for i in range(9)]
    run = replace(simple_run(rows), settings={"loop": "open"})
    text = write_report(run, tmp_path / "report", findings=["Second."]).read_text()
    assert re.search(r"<ol><li>INVALID: lateness[^<]*</li><li>Second", text)
