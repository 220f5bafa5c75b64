"""The checks of one field that the tables of rules are made of.

A check takes a value, None where the field is absent, and the field's path, and gives the causes of
a refusal. Most are made by a function here from what differs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lab_utils.controlplane.status import Cause
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.formats import Format

Check = Callable[[Any, str], Iterator[Cause]]
Rows = Mapping[str, Mapping[str, Check]]
"""Type -> field -> check, in the order of Kubernetes' causes; the field "" is the whole value.

A field without a row may hold anything of its type; the rows of the types inside it still count.
"""
_MAX_ANNOTATIONS_BYTES = 256 * 1024
_EMPTY: tuple[Any, ...] = (None, "", 0, [])


def any_value(_value: Any, _at: str) -> Iterator[Cause]:
    """Take everything: gives a field its place in the order of the causes."""
    return iter(())


def text(check: Format, *, absent: str | None = None) -> Check:
    """Check a text; absent is what a field that is not there is checked as."""

    def run(value: Any, at: str) -> Iterator[Cause]:
        value = absent if value is None else value
        for why in check(value) if value is not None else ():
            yield causes.invalid(at, value, why)

    return run


def number(low: int, why: str, high: float = float("inf"), *, absent: int | None = None) -> Check:
    """Check that a number is in a range."""

    def run(value: Any, at: str) -> Iterator[Cause]:
        value = absent if value is None else value
        if value is not None and not low <= value <= high:
            yield causes.invalid(at, value, why)

    return run


def one_of(*choices: str, absent: str | None = None) -> Check:
    """Check that a value is one of those there are."""

    def run(value: Any, at: str) -> Iterator[Cause]:
        value = absent if value is None else value
        if value is not None and value not in choices:
            yield causes.unsupported(at, value, choices)

    return run


def needed(check: Check = any_value, why: str = "") -> Check:
    """Check that a value is there, and then the value."""

    def run(value: Any, at: str) -> Iterator[Cause]:
        return iter([causes.required(at, why)]) if value in _EMPTY else check(value, at)

    return run


def unless_empty(check: Check) -> Check:
    """Check a text that may as well be empty: to Go, that is a field that is not there."""
    return lambda value, at: iter(()) if value == "" else check(value, at)


def each(check: Check) -> Check:
    """Check every item of a list."""

    def run(value: Any, at: str) -> Iterator[Cause]:
        for i, item in enumerate(value or ()):
            yield from check(item, f"{at}[{i}]")

    return run


def distinct(key: str) -> Check:
    """Check that no two items of a list have one name."""
    return lambda items, at: repeated(
        (item.get(key), f"{at}[{i}].{key}") for i, item in enumerate(items or ())
    )


def repeated(places: Iterable[tuple[Any, str]]) -> Iterator[Cause]:
    """Refuse values that came before; places are (value or None, field)."""
    seen = set()
    for value, at in places:
        if value and value in seen:
            yield causes.duplicate(at, value)
        seen.add(value)


at_least_zero = number(0, "must be greater than or equal to 0")
protocol = one_of("SCTP", "TCP", "UDP")
port_number = number(1, "must be between 1 and 65535, inclusive", 65535, absent=0)
_port_name = text(formats.port_name)
_percent = text(formats.percent)


def port(value: Any, at: str) -> Iterator[Cause]:
    """Check a port given by number or by name."""
    return (_port_name if isinstance(value, str) else port_number)(value, at)


def count_or_percent(value: Any, at: str) -> Iterator[Cause]:
    """Check a number of pods or a percentage of them."""
    return (_percent if isinstance(value, str) else at_least_zero)(value, at)


def share(value: Any, at: str) -> Iterator[Cause]:
    """Check a number of pods or a percentage of at most 100."""
    problems = list(count_or_percent(value, at))
    if isinstance(value, str) and not problems and int(value[:-1]) > 100:
        problems = [causes.invalid(at, value, "must not be greater than 100%")]
    yield from problems


def labels(value: Any, at: str) -> Iterator[Cause]:
    """Check the keys and values of labels."""
    for key, label in (value or {}).items():
        yield from text(formats.qualified_name)(key, at)
        yield from text(formats.label_value)(label, at)


def annotations(value: Any, at: str) -> Iterator[Cause]:
    """Check the keys of annotations and their size all together."""
    value = value or {}
    for key in value:
        yield from text(lambda key: formats.qualified_name(key.lower()))(key, at)
    if sum(len(k.encode()) + len(v.encode()) for k, v in value.items()) > _MAX_ANNOTATIONS_BYTES:
        yield causes.too_long(at, _MAX_ANNOTATIONS_BYTES)
