"""What the lab is made of is known: pinned, hashed, listed, and free to use."""

import json
import re

import pytest

from lab_utils.settings import project_root
from tests.tools import make_supply

FREE = re.compile(r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|ZPL|0BSD|CC0|Public Domain")
LOCKED = list(make_supply.locked())


@pytest.mark.parametrize("library", LOCKED, ids=lambda library: library.name)
def test_every_locked_library_has_hashes_and_a_free_licence(library):
    assert library.hashes
    assert library.licence == make_supply.ELSEWHERE or FREE.search(library.licence), library.licence


def test_every_hash_of_the_lock_file_was_read():
    text = (project_root() / "requirements.lock").read_text()
    assert sum(len(library.hashes) for library in LOCKED) == text.count("--hash=sha256:")


def test_the_bill_of_materials_is_that_of_the_pinned_image():
    told = json.loads(make_supply.BILL.read_text())
    assert told == make_supply.bill(), "python -m tests.tools.make_supply writes it anew"
    pinned = (project_root() / "worker/requirements.txt").read_text().count("==")
    assert len(told["components"]) == pinned + 1


def test_the_page_of_licences_names_every_library():
    rows = re.findall(
        r"^\| \**([a-z0-9.-]+)\** \| (\S+) \|", make_supply.LICENCES.read_text(), re.M
    )
    assert rows == [(one.name, one.version) for one in LOCKED]


def test_every_exception_from_the_rules_of_security_is_explained():
    root = project_root()
    page = (root / "docs/security.md").read_text()
    sources = [*root.glob("lab_utils/**/*.py"), *root.glob("worker/**/*.py")]
    said = {code for path in sources for code in re.findall(r"noqa: (S\d+)", path.read_text())}
    ignored = set(re.findall(r'"(S\d+)"', (root / "pyproject.toml").read_text()))
    explained = set(re.findall(r"^\| `(S\d+)` \|", page, re.M))
    assert said | ignored == explained
