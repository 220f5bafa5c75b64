"""A thread that lasts as long as a context, for what happens beside a run."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Background(ABC):
    """Runs `_run` in a thread while its context lasts; `_run` ends soon after `_stopped` is set.

    Args:
        name: Of the thread.
        leave_s: How long leaving the context waits for the thread; None: until it has ended.
    """

    def __init__(self, name: str, leave_s: float | None = None) -> None:
        self._name, self._leave_s = name, leave_s
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start the thread."""
        self._enter()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread, then tidy up, whatever happened."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(self._leave_s)
            self._leave(late=self._thread.is_alive())

    def _enter(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Prepare; an error here keeps the context from being entered."""

    @abstractmethod
    def _run(self) -> None:
        """Do the work."""

    @abstractmethod
    def _leave(self, *, late: bool) -> None:
        """Tidy up; late tells that the thread has not ended in time."""
