"""The recordings of a real cluster in `tests/reference`, as test cases."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab_utils.controlplane.kinds import STORED
from lab_utils.controlplane.parsing import Unreadable, read

REFERENCE = Path(__file__).parents[1] / "reference"
_KINDS = {(kind.api_version, kind.plural): kind.name for kind in STORED}
_CREATE = re.compile(
    r"/apis?/(?P<version>(?:[^/]+/)?[^/]+)(?:/namespaces/(?P<namespace>\w+))?/(?P<plural>\w+)"
)
_IN_URL = "fieldValidation=Nonsense", "dryRun=Yes", "fieldManager="


@dataclass(frozen=True)
class Create:
    """One recorded POST of an object of a served kind."""

    kind: str
    namespace: str
    body: dict[str, Any]
    strict: bool
    code: int
    response: dict[str, Any]

    @property
    def causes(self) -> list[dict[str, str]]:
        """Give the fields that were refused, in order."""
        details: dict[str, Any] = self.response.get("details", {})
        return details.get("causes", [])


def creates(*codes: int, without: dict[int, str] | None = None) -> list[Any]:
    """Give the recorded creates with one of these codes as parameters with an id.

    Args:
        codes: Wanted HTTP codes.
        without: n of a recording -> why it is left out.
    """
    cases = []
    for line in (REFERENCE / "errors" / "errors.jsonl").read_text().splitlines():
        row = json.loads(line)
        match = _CREATE.fullmatch(row["path"].partition("?")[0])
        if row["method"] != "POST" or row["code"] not in codes or row["n"] in (without or {}):
            continue
        kind = _KINDS.get((match["version"], match["plural"]), "") if match else ""
        if not match or not kind or any(t in row["path"] for t in _IN_URL):
            continue
        body = _body(row)
        if isinstance(body, dict) and body.get("kind") in (kind, "", None):
            strict = "fieldValidation=Strict" in row["path"]
            case = Create(
                kind, match["namespace"] or "", body, strict, row["code"], row["response"]
            )
            cases.append(pytest.param(case, id=f"{row['n']}-{row['note']}"))
    return cases


def _body(row: dict[str, Any]) -> Any:
    if not isinstance(row["request"], str):
        return row["request"]
    try:
        return read(row["request"].encode(), row["contentType"])
    except Unreadable:
        return None


def patches(prefix: str) -> list[Any]:
    """Give the recorded patches whose names begin so, as parameters with an id."""
    files = sorted((REFERENCE / "patches").glob(f"{prefix}*.json"))
    return [pytest.param(json.loads(file.read_text()), id=file.stem) for file in files]
