"""Bytes to values: JSON and YAML as Kubernetes' parsers read them, with their words for errors.

Hides the traps of both: duplicate fields, YAML 1.1 booleans, aliases that grow, nesting without
end. Knows nothing of kinds.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

JSON, YAML = "application/json", "application/yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
CONTENT_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
_MAX_DEPTH, _MAX_VALUES = 100, 300_000


class Unreadable(ValueError):
    """A body that is no JSON or no YAML; the text is what Go's parser says."""


class _Repeated(dict[str, Any]):
    """An object in which a field came more than once; the last one counts."""

    repeated: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    times = Counter(name for name, _ in pairs)
    marked = _Repeated(plain)
    marked.repeated = tuple(name for name in plain if times[name] > 1)
    return marked


def read_json(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        Unreadable: It is none, or nested too deeply.
    """
    text = body.decode("utf-8-sig", errors="replace")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():  # half a surrogate pair could never be written again
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as exc:
        raise Unreadable(_go_json_error(text, exc)) from exc
    except ValueError as exc:  # that pair, or a number of thousands of digits
        raise Unreadable(str(exc)) from exc
    except RecursionError as exc:
        raise Unreadable("exceeded max depth") from exc


def _refuse_constant(name: str) -> None:
    raise Unreadable(f"invalid character '{name[0]}' looking for beginning of value")


def _go_json_error(text: str, error: json.JSONDecodeError) -> str:
    at = len(text) if "Unterminated" in error.msg else error.pos
    if "trailing comma" in error.msg:
        at += 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip())
    if at >= len(text):
        return "unexpected end of JSON input"
    for message, place in _GO_PLACES.items():
        if message in error.msg:
            return f"invalid character '{text[at]}' {place}"
    return f"invalid character '{text[at]}' looking for beginning of value"


_GO_PLACES = {
    "property name": "looking for beginning of object key string",
    "trailing comma before end of object": "looking for beginning of object key string",
    "':' delimiter": "after object key",
    "',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character": "in string literal",
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 as Kubernetes reads it: y and n are booleans, dates and 1:30 are strings."""

    bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """Make every key a string and sort them, as the way through Go's JSON does."""
        made = super().construct_mapping(node, deep=deep)
        named = {k if isinstance(k, str) else json.dumps(k): v for k, v in made.items()}
        return dict(sorted(named.items()))


_RESOLVERS = {
    "bool": ("yYnNtTfFoO", r"(?:[yYnN]|[Yy]es|YES|[Nn]o|NO|[Tt]rue|TRUE|[Ff]alse|FALSE"
                           r"|[Oo]n|ON|[Oo]ff|OFF)"),
    "int": ("-+0123456789", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)"),
    "float": ("-+.0123456789", r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"),
    "null": ("~nN\0", r"(?:~|null|Null|NULL|)"),
    "merge": ("<", r"<<"),
}  # fmt: skip
for _tag, (_first, _pattern) in _RESOLVERS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^{_pattern}$"), [*_first.replace("\0", ""), ""]
    )


def read_yaml(body: bytes) -> Any:
    """Parse the first document of a YAML stream.

    Raises:
        Unreadable: It is none.
    """
    try:
        _bound_yaml_depth(body)
        loader = _Loader(body)
        try:
            return loader.get_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        raise Unreadable(_go_yaml_error(exc)) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise Unreadable(f"yaml: {exc}") from exc


def _bound_yaml_depth(body: bytes) -> None:
    """Refuse deep nesting before a tree is made of it: libyaml's composer is recursive C."""
    depth = 0
    for event in yaml.parse(body, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise Unreadable("exceeded max depth")
        if isinstance(event, yaml.DocumentEndEvent):
            return


def _go_yaml_error(error: yaml.MarkedYAMLError) -> str:
    """Give Go's wording: it counts lines from one for the scanner, from zero for the parser."""
    line = error.problem_mark.line if error.problem_mark else 0
    line += isinstance(error, yaml.scanner.ScannerError)
    return f"yaml: line {line}: {error.problem}" if line else f"yaml: {error.problem}"


def read(body: bytes, content_type: str) -> Any:
    """Parse a body of JSON or YAML and bound what comes out of it.

    Raises:
        Unreadable: It cannot be parsed, is nested too deeply or grows too large.
    """
    is_yaml = content_type == YAML or content_type.endswith("+yaml")
    value = read_yaml(body) if is_yaml else read_json(body)
    bound(value)
    return value


def bound(value: Any) -> None:
    """Refuse what would overrun a recursion or the memory; aliases are counted as often as used.

    Raises:
        Unreadable: value is nested too deeply or holds too much.
    """
    level, seen = [value], 0
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        seen += len(level)
        if not level:
            return
        if seen > _MAX_VALUES:
            raise Unreadable("document contains excessive aliasing")
    raise Unreadable("exceeded max depth")


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def duplicate_fields(value: Any, path: str = "") -> Iterator[str]:
    """Find fields that came twice: `duplicate field "metadata.name"`."""
    if isinstance(value, _Repeated):
        yield from (f'duplicate field "{_join(path, name)}"' for name in value.repeated)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from duplicate_fields(inner, _join(path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from duplicate_fields(inner, f"{path}[{i}]")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
