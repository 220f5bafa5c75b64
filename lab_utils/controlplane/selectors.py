"""Which objects a client means: label selectors, as text and as an object, and field selectors.

Hides the grammar and Kubernetes' words for what does not fit it.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab_utils.controlplane.kinds import Kind
from lab_utils.controlplane.status import ApiError, Object, bad_request

_TOKEN = re.compile(r"\s*(==|!=|=|!|>|<|,|\(|\)|[^\s=!<>,()]+|$)")
_OPERATORS = {
    "=": "In", "==": "In", "!=": "NotIn", "in": "In", "notin": "NotIn", ">": "Gt", "<": "Lt",
}  # fmt: skip
_SYMBOLS = {"=", "==", "!=", "!", ">", "<", ",", "(", ")", ""}
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_MAX_VALUE = 63


@dataclass(frozen=True)
class Requirement:
    """One condition on one label; operators as in a LabelSelector, and Gt and Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels fulfil it."""
        value = labels.get(self.key)
        if value is None:
            return self.operator in ("NotIn", "DoesNotExist")
        return _MATCHES[self.operator](value, self.values)


def _compares(value: str, bound: str, sign: int) -> bool:
    try:
        return (int(value) - int(bound)) * sign > 0
    except ValueError:
        return False


_MATCHES: dict[str, Callable[[str, tuple[str, ...]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda _value, _values: True,
    "DoesNotExist": lambda _value, _values: False,
    "Gt": lambda value, values: _compares(value, values[0], 1),
    "Lt": lambda value, values: _compares(value, values[0], -1),
}
"""Operator -> whether a label that is there fulfils it."""


@dataclass(frozen=True)
class LabelSelector:
    """Conditions that must all hold; without any, everything matches."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Tell whether labels are selected."""
        return all(requirement.matches(labels or {}) for requirement in self.requirements)


def label_selector(selector: Object | None) -> LabelSelector:
    """Read a LabelSelector object (matchLabels, matchExpressions)."""
    selector = selector or {}
    equal = [Requirement(k, "In", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    rules = [
        Requirement(rule["key"], rule["operator"], tuple(rule.get("values") or ()))
        for rule in selector.get("matchExpressions") or ()
    ]
    return LabelSelector((*equal, *rules))


def parse_label_selector(text: str) -> LabelSelector:
    """Read `app=web,tier in (a, b),!old`.

    Raises:
        ApiError: 400 in Kubernetes' words.
    """
    try:
        return LabelSelector(tuple(_Parser(text).requirements()))
    except ValueError as exc:
        raise bad_request(f"unable to parse requirement: {exc}") from exc


class _Parser:
    """Recursive descent, one token of look-ahead; the words are apimachinery's."""

    def __init__(self, text: str) -> None:
        self._tokens = deque(match[1] for match in _TOKEN.finditer(text))  # "" is the last one

    def requirements(self) -> list[Requirement]:
        """Read the whole text."""
        found: list[Requirement] = []
        while self._tokens[0] or found:
            found.append(self._requirement())
            if (after := self._take()) == "":
                break
            if after != ",":
                raise _unexpected(after, "',' or 'end of string'")
        return found

    def _take(self) -> str:
        return self._tokens.popleft() if len(self._tokens) > 1 else self._tokens[0]

    def _identifier(self, expected: str = "identifier") -> str:
        if (token := self._take()) in _SYMBOLS:
            raise _unexpected(token, expected)
        return token

    def _requirement(self) -> Requirement:
        absent = self._tokens[0] == "!"
        if absent:
            self._take()
        key = _checked_key(self._identifier())
        if absent or self._tokens[0] in ("", ","):
            return Requirement(key, "DoesNotExist" if absent else "Exists")
        if (word := self._take()) not in _OPERATORS:
            raise _unexpected(word, "in, notin, =, ==, !=, gt, lt")
        values = self._set() if word in ("in", "notin") else (self._value("", ","),)
        return Requirement(key, _OPERATORS[word], _checked_values(key, word, values))

    def _value(self, *ends: str) -> str:
        """Read a value; where the next thing is there already it is empty."""
        return "" if self._tokens[0] in ends else self._identifier(_EXPECTED[ends])

    def _set(self) -> tuple[str, ...]:
        if (opening := self._take()) != "(":
            raise _unexpected(opening, "'('")
        values = [self._value(",", ")")]
        while (closing := self._take()) == ",":
            values.append(self._value(",", ")"))
        if closing != ")":
            raise _unexpected(closing, "',' or ')'")
        return tuple(values)


_EXPECTED: dict[tuple[str, ...], str] = {
    ("", ","): "identifier",
    (",", ")"): "',', ')' or identifier",
}


def _unexpected(token: str, expected: str) -> ValueError:
    return ValueError(f"found '{token}', expected: {expected}")


def _checked_key(key: str) -> str:
    if not _NAME.fullmatch(key.rsplit("/", 1)[-1]):
        raise ValueError(f'<nil>: Invalid value: "{key}": {_NAME_RULE}')
    return key


def _checked_values(key: str, word: str, values: tuple[str, ...]) -> tuple[str, ...]:
    for i, value in enumerate(values):
        if word in (">", "<") and not value.lstrip("-").isdigit():
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise ValueError(f'values[{i}]: Invalid value: "{value}": {why}')
        if len(value) > _MAX_VALUE:
            why = f"must be no more than {_MAX_VALUE} bytes"
            raise ValueError(f'values[{i}][{key}]: Invalid value: "{value}": {why}')
    return values


FieldSelector = Callable[[Object], bool]


def parse_field_selector(kind: Kind, text: str) -> FieldSelector:
    """Read `status.phase=Running,spec.nodeName!=x` for a kind.

    Raises:
        ApiError: 400, malformed or a field this kind cannot be selected by.
    """
    terms = [_field_term(kind, text, term) for term in text.split(",") if term]

    def selects(obj: Object) -> bool:
        return all((_field(obj, path) == value) == equal for path, value, equal in terms)

    return selects


def _field_term(kind: Kind, text: str, term: str) -> tuple[str, str, bool]:
    match = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", term)
    if match is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
    path, operator, value = match.groups()
    if path not in ("metadata.name", "metadata.namespace", *kind.selectable):
        raise _not_selectable(kind, path)
    return path, value, operator != "!="


def _not_selectable(kind: Kind, path: str) -> ApiError:
    if kind.selectable:
        return bad_request(f"field label not supported: {path}")
    known = '"metadata.name", "metadata.namespace"'
    return bad_request(f'"{path}" is not a known field selector: only {known}')


def _field(obj: Object, path: str) -> str:
    """Give a field as text; what is absent is empty, as a Go zero value prints."""
    value: object = obj
    for step in _ELSEWHERE.get(path, path).split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component") or obj.get("reportingComponent")
    if value is None:
        return _ZEROS.get(path, "")
    return str(value).lower() if isinstance(value, bool) else str(value)


_ELSEWHERE = {"status.successful": "status.succeeded"}
_ZEROS = {
    "spec.unschedulable": "false", "spec.hostNetwork": "false",
    "status.replicas": "0", "status.successful": "0",
}  # fmt: skip
