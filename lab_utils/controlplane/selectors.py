"""Which objects a client means: label selectors, as text and as an object, and field selectors.

Hides the grammar and Kubernetes' words for what does not fit it.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

import re
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
        if self.operator == "Exists":
            return value is not None
        if self.operator in ("NotIn", "DoesNotExist"):
            return value is None or (self.operator == "NotIn" and value not in self.values)
        if value is None:
            return False
        if self.operator == "In":
            return value in self.values
        return _compares(self.operator, value, self.values[0])


def _compares(operator: str, value: str, bound: str) -> bool:
    try:
        return int(value) > int(bound) if operator == "Gt" else int(value) < int(bound)
    except ValueError:
        return False


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
        self._tokens = [match[1] for match in _TOKEN.finditer(text)]
        self._at = 0

    def requirements(self) -> list[Requirement]:
        """Read the whole text."""
        found: list[Requirement] = []
        while self._next:
            if self._next in _SYMBOLS - {"!"}:
                raise ValueError(f"found '{self._next}', expected: !, identifier, or ''")
            found.append(self._requirement())
            after = self._take()
            if after == "":
                break
            if after != ",":
                raise ValueError(f"found '{after}', expected: ',' or 'end of string'")
            if self._next in _SYMBOLS - {"!"}:
                raise ValueError(f"found '{self._next}', expected: identifier after ','")
        return found

    @property
    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._next
        self._at += 1
        return token

    def _identifier(self) -> str:
        token = self._take()
        if token in _SYMBOLS:
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _requirement(self) -> Requirement:
        absent = self._next == "!"
        if absent:
            self._take()
        key = _checked_key(self._identifier())
        if absent or self._next in ("", ","):
            return Requirement(key, "DoesNotExist" if absent else "Exists")
        word = self._take()
        if word not in _OPERATORS:
            raise ValueError(f"found '{word}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._set() if word in ("in", "notin") else (self._value(),)
        return Requirement(key, _OPERATORS[word], _checked_values(key, word, values))

    def _value(self) -> str:
        return "" if self._next in ("", ",") else self._identifier()

    def _set(self) -> tuple[str, ...]:
        if (opening := self._take()) != "(":
            raise ValueError(f"found '{opening}' expected: '('")
        if self._next in _SYMBOLS - {",", ")"}:
            raise ValueError(f"found '{self._next}', expected: ',', ')' or identifier")
        values = [""] if self._next in (",", ")") else [self._identifier()]
        while self._next == ",":
            self._take()
            values.append("" if self._next in (",", ")") else self._identifier())
        if (closing := self._take()) != ")":
            raise ValueError(f"found '{closing}', expected: ',' or ')'")
        return tuple(values)


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
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component") or obj.get("reportingComponent")
    if value is None:
        return "false" if path in _BOOLEAN_FIELDS else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


_BOOLEAN_FIELDS = {"spec.unschedulable", "spec.hostNetwork"}
