"""The project keeps its own rules: arrows, names, docstrings, versions, notebooks."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import lab_utils

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONDA_NAMES = {"kubernetes-client", "kubernetes-kind", "pip", "python", "jupyterlab"}


def test_every_public_name_is_there():
    for name in lab_utils.__all__:
        assert getattr(lab_utils, name) is not None


def test_every_public_name_is_used_by_a_notebook_the_readme_or_the_docs():
    texts = [path.read_text() for path in [*NOTEBOOKS, ROOT / "README.md", *DOCS]]
    unused = [
        name
        for name in lab_utils.__all__
        if not any(re.search(rf"\b(lab|lab_utils)\.{name}\b|import.*\b{name}\b", t) for t in texts)
    ]
    assert unused == []


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(AttributeError, match=r"lab_utils has no 'fier'; it has .*fire"):
        _ = lab_utils.fier


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, lab_utils; print(sorted({'pandas', 'kubernetes', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_lock_file_holds_every_requirement_of_the_project():
    locked = {
        line.split("==")[0]: line.split("==")[1].split(" ")[0]
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if re.match(r"^[a-z0-9]", line)
    }
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = PYPROJECT["project"]["dependencies"] + extras["test"] + extras["docs"]
    for requirement in map(Requirement, wanted):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert requirement.specifier.contains(locked[name]), requirement


def test_environment_yml_names_no_version_that_pyproject_has():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert pip == {"pip": ["-e ."]}
    assert {re.split("[=<>]", name)[0] for name in conda} == CONDA_NAMES
    python = next(name for name in conda if name.startswith("python=")).removeprefix("python=")
    lowest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.split("."))) >= tuple(map(int, lowest.split(".")))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_committed_as_run(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
    assert path.stat().st_size <= 300_000
    assert len(notebook["cells"]) <= 45


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_states_its_claims(path):
    cells = json.loads(path.read_text())["cells"]
    checks = [c for c in cells if "nbval-check-output" in c["metadata"].get("tags", [])]
    assert checks
    assert all("lab.check(" in "".join(cell["source"]) for cell in checks)
    said = ["".join(out.get("text", "")) for cell in checks for out in cell["outputs"]]
    assert said
    # Only what waits for the learner's own answer may be open in what is committed.
    assert not [text for text in said if "UNKNOWN" in text and "yet)" not in text]


@pytest.mark.fault(37)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_shows_no_secret_and_no_home(path):
    text = path.read_text()
    assert str(Path.home()) + "/" not in text
    assert "/tmp/" not in text
    assert "token" not in text.lower()


def test_the_readme_names_the_commands_of_the_makefile():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for command in re.findall(r"make ([a-z]+)", readme):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_readme_lists_a_notebook_with_the_minutes_that_it_says_itself(path):
    first = "".join(json.loads(path.read_text())["cells"][0]["source"])
    (minutes,) = re.findall(r"^\*(\d+) minutes\b", first, re.MULTILINE)
    row = rf"^\| {path.stem[:2]} \| \[[^]]+\]\(notebooks/{path.name}\) \| {minutes} \| "
    assert re.search(row, (ROOT / "README.md").read_text(), re.MULTILINE)


def test_every_link_of_the_readme_leads_somewhere():
    readme = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_gallery_shows_every_chart_with_a_text_for_those_who_do_not_see_it():
    charts = set(lab_utils.charts.__all__) - {"style", "use_style"}
    page = (ROOT / "docs/gallery/README.md").read_text()
    shown = dict(re.findall(r"!\[([^\]]{30,})\]\((\w+)\.png\)", page))
    assert sorted(shown.values()) == sorted(charts)
    assert all((ROOT / f"docs/gallery/{name}.png").is_file() for name in charts)
    assert all(f"lab.charts.{name}`" in page for name in charts)
