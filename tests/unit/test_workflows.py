"""What runs elsewhere: CI for people, conda and Binder. Read, because it cannot be run here."""

import re
import subprocess
import tomllib

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from lab_utils.settings import project_root

ROOT = project_root()
WORKFLOWS = {path.stem: path for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def jobs(name):
    return yaml.safe_load(WORKFLOWS[name].read_text())["jobs"]


def steps(name):
    return [step for job in jobs(name).values() for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_its_version_and_nothing_may_write(name):
    for step in steps(name):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step.get("uses", "actions/a@v1.0.0"))
    assert yaml.safe_load(WORKFLOWS[name].read_text())["permissions"] == {"contents": "read"}


def test_every_supported_python_is_tested_on_linux_and_macos():
    for job in jobs("test").values():
        versions = job["strategy"]["matrix"]["python"]
        supported = SpecifierSet(PROJECT["requires-python"])
        assert versions == ["3.11", "3.12", "3.13", "3.14"]
        assert all(supported.contains(version) for version in versions)
    assert {job["runs-on"].split("-")[0] for job in jobs("test").values()} == {"ubuntu", "macos"}


def test_the_commands_are_those_of_the_makefile_and_of_lab():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    said = "\n".join(step.get("run", "") for name in WORKFLOWS for step in steps(name))
    assert set(re.findall(r"\bmake ([a-z]+)", said)) <= targets
    for path in re.findall(r"\btests/[\w/.]+", said):
        assert (ROOT / path).exists(), path
    for command in set(re.findall(r"bin/lab ([a-z-]+)", said)):
        help_text = [ROOT / ".venv" / "bin" / "lab", command, "--help"]
        if help_text[0].exists():
            subprocess.run(help_text, check=True, capture_output=True)


def test_binder_finds_what_it_needs_and_no_dockerfile_instead():
    assert not (ROOT / "Dockerfile").exists()
    assert not any((ROOT / name).exists() for name in ("binder", ".binder", "runtime.txt"))
    post_build = ROOT / "postBuild"
    assert post_build.stat().st_mode & 0o100
    assert "set -e" in post_build.read_text()
    assert "mybinder.org/v2/gh/" in (ROOT / "README.md").read_text()


def test_the_environment_names_tools_as_conda_forge_does_and_leaves_the_rest_to_the_package():
    content = yaml.safe_load((ROOT / "environment.yml").read_text())
    plain = [item for item in content["dependencies"] if isinstance(item, str)]
    (pip,) = (item["pip"] for item in content["dependencies"] if isinstance(item, dict))
    assert {"kubernetes-kind", "kubernetes-client", "pip"} <= set(plain)
    assert pip == ["-e ."]
    (python,) = (item.partition("=")[2] for item in plain if item.startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    # A name in both would be two versions: only what the conda world brings itself may be.
    names = {re.split(r"[><=\[]", item)[0] for item in PROJECT["dependencies"]}
    assert names & set(plain) <= {"jupyterlab"}
