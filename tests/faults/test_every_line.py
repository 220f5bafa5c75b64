"""Every fault of the list is shown by some test, and the list says by which."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
MARK = re.compile(r"^@pytest\.mark\.fault\(([\d, ]+)\)", re.MULTILINE)


def shown_in():
    """Find, for each fault, the modules whose tests are marked with it."""
    found = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for numbers in MARK.findall(path.read_text()):
            for number in map(int, numbers.split(",")):
                found.setdefault(number, []).append(path.relative_to(TESTS).as_posix())
    return {number: sorted(set(paths)) for number, paths in found.items()}


def test_every_fault_of_the_list_is_shown_where_the_list_says(request):
    readme = HERE / "README.md"
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.*) \|$", readme.read_text(), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 41))
    found = shown_in()
    if request.config.getoption("--update-golden"):
        text = readme.read_text()
        for number, what, where in rows:
            old, paths = f"| {number} | {what} | {where} |", found[int(number)]
            new = "<br>".join(f"[{path}](../{path})" for path in paths)
            text = text.replace(old, f"| {number} | {what} | {new} |")
        readme.write_text(text)
        return
    told = {int(n): re.findall(r"\[([^]]+)\]", where) for n, _, where in rows}
    assert told == found
