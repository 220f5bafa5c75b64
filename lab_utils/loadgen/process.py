"""The parent's side of the load generator: start the process, collect what it tells, end it."""

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from lab_utils.clock import Clock
from lab_utils.errors import LoadError
from lab_utils.loadgen.plan import Plan

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 0.7  # an interrupt must give control back within 1 s


class Generator:
    """A running load generator; leaving its context ends it.

    Args:
        plan: What it is to do.
        endpoints: Asked at each wait() which base URLs the client may choose among by now; None:
            those of the plan, all the time.

    Attributes:
        rows: One dict per finished request with its attempts, in the order they finished.
        sent, ok, failed: Counts so far.
        end: What the process said last; empty while it runs, or if it broke.
    """

    def __init__(self, plan: Plan, endpoints: Callable[[], Sequence[str]] | None = None) -> None:
        self._plan, self._endpoints = plan, endpoints
        self._targets = list(plan.targets[0])
        self.rows: list[dict[str, Any]] = []
        self.sent = self.ok = self.failed = 0
        self.end: dict[str, Any] = {}
        self._clock: Clock | None = None
        self._started = threading.Event()

    def __enter__(self) -> "Generator":
        """Start the process."""
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab_utils.loadgen"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=Path(__file__).parents[2],  # so that -m finds the package however it came here
            start_new_session=True,  # an interrupt of the kernel's process group must not reach it
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        self._reader = threading.Thread(target=self._collect, name="load", daemon=True)
        self._reader.start()
        return self

    def start(self) -> Clock:
        """Hand over the plan and wait until the run's clock is set.

        Raises:
            LoadError: The process did not start.
        """
        self._tell(self._plan.to_json())
        self._started.wait(_START_TIMEOUT_S)
        if self._clock is None:
            raise LoadError(
                f"The load generator did not start: {self.last_error()}. "
                "Look for a broken installation: lab.doctor()"
            )
        return self._clock

    @property
    def broke(self) -> bool:
        """Whether the process ended without a last word."""
        return not self._reader.is_alive() and not self.end

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the run; True if it is reached. Can be interrupted."""
        self._retarget()
        self._reader.join(timeout_s)
        return not self._reader.is_alive()

    def _retarget(self) -> None:
        """Tell the process of other endpoints; without any, it goes on with those it had."""
        urls = list(self._endpoints()) if self._endpoints else []
        if urls and urls != self._targets:
            self._targets = urls
            self._tell(json.dumps(urls))

    def _tell(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ended, or stopped: it no longer matters
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()

    def stop(self) -> None:
        """End the run: what is in flight is cancelled, what was told is kept."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, whatever happened."""
        self.stop()
        self._stdout.close()
        self._errors.close()

    def _collect(self) -> None:
        try:
            for line in self._stdout:
                self._take(json.loads(line))
        except ValueError:
            return  # the process was killed in the middle of a line: the rows before it count
        finally:
            self._started.set()

    def _take(self, told: dict[str, Any]) -> None:
        if "request_id" in told:
            self.rows.append(told)
            ok = "decisive" in told and bool(told["attempts"][told["decisive"] - 1].get("ok"))
            self.ok += ok
            self.failed += not ok and told.get("error") != "cancelled"
        elif "sent" in told:
            self.sent = told["sent"]
        elif "clock" in told:
            self._clock = Clock(**told["clock"])
            self._started.set()
        else:
            self.end = told["end"]

    def last_error(self) -> str:
        """Say in one line why the process broke."""
        if self._process.poll() is None:
            return f"no answer after {_START_TIMEOUT_S:g} s"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with code {self._process.returncode}"
