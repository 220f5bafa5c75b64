"""YAML text to plain values that know their lines, read as Kubernetes' tools read it.

Hides YAML's traps (tabs, duplicate keys, byte order marks, alias bombs, dates that are meant as
text) behind one kind of error with file and line. Never builds anything but plain values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from lab_utils.errors import ManifestError

_LARGEST_BYTES = 3 * 2**20  # what an API server takes in one request
_MOST_NODES = 100_000
_HINTS = {
    "mapping values are not allowed": "quote a value that has ': ' in it, or mend the indentation",
    "could not find expected ':'": "a key needs a colon and a space after it",
    "expected <block end>": "mend the indentation: keys of one mapping start in one column",
    "found undefined alias": "define the anchor with & before it is used",
    "found character '@'": "quote a value that starts with @",
    "could not determine a constructor": "remove the tag (!...): only plain values are read",
}


@dataclass(frozen=True)
class Document:
    """One YAML document: its value, its first line, and the first line of each of its `items`."""

    value: Any
    line: int
    item_lines: tuple[int, ...] = ()


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys and leaves dates as text, as Kubernetes does."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class declares it so
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are all different."""
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                problem = f"the key {key.value!r} is there twice, first in line {seen[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen[key.value] = line
        return super().construct_mapping(node, deep)


def parse(source: bytes | str, where: str) -> list[Document]:
    """Read every document of a YAML text; empty ones are left out.

    Args:
        source: The text, or its bytes in UTF-8 with or without a byte order mark.
        where: What to call the text in an error: a file name.

    Returns:
        The documents in order.

    Raises:
        ManifestError: The text is not YAML, is too large, or is not UTF-8.
    """
    text = source if isinstance(source, str) else _decode(source, where)
    if len(text) > _LARGEST_BYTES:
        raise ManifestError(f"{where} has {len(text)} characters: want at most {_LARGEST_BYTES}.")
    try:
        return [document for document in _documents(text) if document.value is not None]
    except yaml.MarkedYAMLError as exc:
        raise ManifestError(_explain(exc, text, where)) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise ManifestError(
            f"{where}:{line}: the character #x{ord(text[exc.position]):04x} is not allowed in "
            "YAML: save the file as plain text."
        ) from exc
    except RecursionError as exc:
        raise ManifestError(f"{where} is nested too deeply to be a manifest.") from exc


def _decode(source: bytes, where: str) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = source.count(b"\n", 0, exc.start) + 1
        raise ManifestError(f"{where}:{line}: not UTF-8 text: save the file as UTF-8.") from exc


def _documents(text: str) -> Iterator[Document]:
    constructor = _Loader("")
    for node in yaml.compose_all(text, _Loader):
        if _weigh(node, {}) > _MOST_NODES:
            problem = f"aliases make it larger than {_MOST_NODES} values"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        value = constructor.construct_document(node)
        yield Document(value, node.start_mark.line + 1, _item_lines(node))


def _weigh(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values of a node with every alias written out; one inside itself is endless."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in children for child in pair]
        known[id(node)] = 1 + sum(_weigh(child, known) for child in children)
    return known[id(node)]


def _item_lines(node: yaml.Node) -> tuple[int, ...]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    for key, value in pairs:
        if key.value == "items" and isinstance(value, yaml.SequenceNode):
            return tuple(item.start_mark.line + 1 for item in value.value)
    return ()


def _explain(exc: yaml.MarkedYAMLError, text: str, where: str) -> str:
    mark = exc.problem_mark or exc.context_mark
    line = mark.line + 1 if mark is not None else 1
    lines = text.splitlines()
    content = lines[line - 1] if line <= len(lines) else ""
    if "\t" in content[: len(content) - len(content.lstrip())]:
        return f"{where}:{line}: indented with a tab: YAML wants spaces."
    problem = str(exc.problem or exc.context)
    hint = next((f": {advice}" for start, advice in _HINTS.items() if start in problem), "")
    return f"{where}:{line}: {problem}{hint}."
