"""Warnings that travel beside an answer, as `Warning: 299` headers.

Anything below a request may warn; only the server knows the request. The recorder is therefore
part of the context, as in Kubernetes itself. Outside of a request a warning goes nowhere.
"""

from contextvars import ContextVar

_MOST, _LONGEST = 50, 1024  # Python's client reads at most 100 headers of an answer
_recorder: ContextVar[list[str] | None] = ContextVar("warnings", default=None)


def warn(text: str) -> None:
    """Tell the client of the running request something it should know; once is enough."""
    recorded = _recorder.get()
    if recorded is None or len(recorded) == _MOST or not text.isprintable():
        return  # a line break would be one more header
    if text[:_LONGEST] not in recorded:
        recorded.append(text[:_LONGEST])


def current_warnings() -> tuple[str, ...]:
    """Give what the running request has been warned of."""
    return tuple(_recorder.get() or ())


def record_warnings() -> None:
    """Begin to collect: what the request before was warned of is forgotten."""
    _recorder.set([])
