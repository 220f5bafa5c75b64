"""Write `wire.json`: the numbers that Kubernetes' protobuf gives to the fields of `schema.json`.

Run as `python -m tests.tools.make_wire API APIMACHINERY` with the folders of the public sources
k8s.io/api and k8s.io/apimachinery. They are read, never kept: numbers are all that comes out.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_utils.controlplane import shapes

TARGET = Path(shapes.__file__).with_name("wire.json")
GROUPS = (
    "core", "apps", "batch", "autoscaling", "policy", "discovery", "events", "coordination",
    "networking", "authentication", "authorization", "scheduling",
)  # fmt: skip
_FIELD = re.compile(r"^\t(?:(\w+)\s+)?(\S+)\s+`(json:.*)`", re.MULTILINE)
_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_NUMBERS = "bool", "int32", "int64"


@dataclass(frozen=True)
class Field:
    """One field of a Go struct: json is "" where the struct is part of the one around it."""

    json: str
    go_type: str
    number: int
    is_omitted_when_zero: bool


def read_structs(file: Path) -> dict[str, list[Field]]:
    """Read the structs of a Go file, with the fields that travel."""
    return {name: list(_fields(body)) for name, body in _STRUCT.findall(file.read_text())}


def _fields(body: str) -> Iterator[Field]:
    for _name, go_type, tags in _FIELD.findall(body):
        found = dict(re.findall(r'(\w+):"([^"]*)"', tags))
        name, *options = found["json"].split(",")
        if "protobuf" in found:
            zero = go_type in _NUMBERS and "omitempty" in options
            yield Field(name, go_type.lstrip("*"), int(found["protobuf"].split(",")[1]), zero)


def package_of(name: str) -> tuple[list[str], str]:
    """Give the groups a type of the client may be of, and its version: V1Pod is of some v1."""
    match = re.match(r"([A-Za-z]*?)V(\d+(?:(?:alpha|beta)\d+)?)", name)
    assert match, name
    return ([match[1].lower()] if match[1] else ["meta", *GROUPS]), f"v{match[2]}"


def numbers(structs: dict[str, list[Field]], go_name: str) -> dict[str, Any]:
    """Number the fields of a struct; a part of it that is a message of its own is a dict.

    A number is negative where zero means that the field is not there.
    """
    found: dict[str, Any] = {}
    for field in structs[go_name]:
        if field.json:
            found[field.json] = -field.number if field.is_omitted_when_zero else field.number
        else:
            found[f"{field.number}"] = numbers(structs, field.go_type)
    return found


def build(api: Path, machinery: Path) -> dict[str, Any]:
    """Number every type of schema.json that has a struct."""
    files = {("meta", "v1"): machinery / "pkg" / "apis" / "meta" / "v1" / "types.go"}
    files |= {
        (group, folder.name): folder / "types.go"
        for group in GROUPS for folder in (api / group).iterdir() if (folder / "types.go").exists()
    }  # fmt: skip
    packages = {key: read_structs(file) for key, file in files.items()}
    table = {}
    for name, struct in shapes.all_types().items():
        groups, version = package_of(name)
        for group in groups:
            structs = packages.get((group, version), {})
            if struct.go_name in structs:
                table[name] = numbers(structs, struct.go_name)
                break
    return table


def render(table: dict[str, Any]) -> str:
    """Give the text of wire.json: one type a line."""
    lines = (
        f"{json.dumps(name)}:{json.dumps(fields, separators=(',', ':'))}"
        for name, fields in sorted(table.items())
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(render(build(Path(sys.argv[1]), Path(sys.argv[2]))), encoding="utf-8")
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1000:.0f} kB")
