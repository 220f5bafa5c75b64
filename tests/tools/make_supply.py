"""Say what the lab is made of: `python -m tests.tools.make_supply`.

Writes docs/licences.md, a row for each library of the lock file, and the bill of materials of the
worker's image (docs/inference-worker.cdx.json). Names, versions and hashes are those of the lock
file, licences those that each library says about itself.
Source: https://cyclonedx.org/docs/1.6/json/
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from lab_utils.images import WORKER
from lab_utils.settings import Settings, project_root

ROOT = project_root()
LICENCES, BILL = ROOT / "docs" / "licences.md", ROOT / "docs" / "inference-worker.cdx.json"
ELSEWHERE = "not for this system"
_PIN = re.compile(
    r"^([a-z0-9][a-z0-9.-]*)==([^\s;\\]+)((?:.*\\\n.*--hash=sha256:\w+)*)", re.MULTILINE
)
_HASH = re.compile(r"sha256:(\w+)")
_HEAD = """# Licences

The lab itself is under the Apache License 2.0. It contains no library: `make setup` gets those of
`requirements.lock`, each under its own licence, as it says itself. Those in bold are in the image
of the worker too, whose bill of materials is [inference-worker.cdx.json](inference-worker.cdx.json)
(CycloneDX). Made by `python -m tests.tools.make_supply`.

| Library | Version | Licence |
|---|---|---|
"""


@dataclass(frozen=True)
class Library:
    """One line of the lock file: its name, its version and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def licence(self) -> str:
        """What the library says of its licence; ELSEWHERE if it is not installed here."""
        try:
            about = metadata.metadata(self.name)
        except metadata.PackageNotFoundError:
            return ELSEWHERE
        kinds = [text.split(" :: ") for text in about.get_all("Classifier") or ()]
        named = "; ".join(kind[-1] for kind in kinds if kind[0] == "License")
        plain = (about.get("License") or "").partition("\n")[0]
        return about.get("License-Expression") or named or plain or "not said"


def locked() -> Iterator[Library]:
    """Read the lock file."""
    for name, version, hashes in _PIN.findall((ROOT / "requirements.lock").read_text()):
        yield Library(name, version, tuple(_HASH.findall(hashes)))


def in_image() -> list[Library]:
    """Give the libraries of the worker's image."""
    pins = (ROOT / "worker" / "requirements.txt").read_text()
    names = {name for name, _, _ in _PIN.findall(pins)}
    return [library for library in locked() if library.name in names]


def licences() -> str:
    """Write the page of licences."""
    image = in_image()
    rows = [
        f"| {f'**{one.name}**' if one in image else one.name} | {one.version} | {one.licence} |\n"
        for one in locked()
    ]
    return _HEAD + "".join(rows)


def bill() -> dict[str, Any]:
    """Make the bill of materials of the worker's image: its base, its libraries, itself."""
    name, _, version = WORKER.partition(":")
    base, _, tag = str(Settings.model_fields["base_image"].default).partition(":")
    image = {
        "type": "container",
        "name": name,
        "version": version,
        "licenses": _named("Apache-2.0"),
    }
    parts: list[dict[str, Any]] = [{"type": "container", "name": base, "version": tag}]
    parts += [
        {
            "type": "library",
            "name": one.name,
            "version": one.version,
            "purl": f"pkg:pypi/{one.name}@{one.version}",
            "licenses": _named(one.licence),
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/project/{one.name}/{one.version}/",
                    "hashes": [{"alg": "SHA-256", "content": content} for content in one.hashes],
                }
            ],
        }
        for one in in_image()
    ]
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    return head | {"metadata": {"component": image}, "components": parts}


def _named(licence: str) -> list[dict[str, Any]]:
    return [{"license": {"name": licence}}]


if __name__ == "__main__":
    LICENCES.write_text(licences())
    BILL.write_text(json.dumps(bill(), indent=1) + "\n")
