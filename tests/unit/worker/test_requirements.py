"""The image's pinned libraries against what the lab itself runs on."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
IMAGE = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux"}
IMAGE |= {"platform_system": "Linux", "os_name": "posix", "extra": ""}


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)==([^\s;\\]+)", path.read_text(), re.MULTILINE))


PINS = pins(ROOT / "worker" / "requirements.txt")


def test_every_pin_is_the_one_of_the_lock_file():
    lock = pins(ROOT / "requirements.lock")
    assert {name: lock.get(name) for name in PINS} == PINS


def test_the_workers_own_libraries_are_within_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {canonicalize_name(r.name): r for r in map(Requirement, project["dependencies"])}
    for name in ("fastapi", "httptools", "prometheus-client", "uvicorn"):
        assert wanted[name].specifier.contains(PINS[name])


@pytest.mark.parametrize("name", PINS)
def test_whatever_a_library_needs_is_pinned_too(name):
    needs = (Requirement(text) for text in metadata.requires(name) or ())
    needed = {canonicalize_name(r.name) for r in needs if not r.marker or r.marker.evaluate(IMAGE)}
    assert needed <= PINS.keys()
