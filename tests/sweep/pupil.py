"""The process that runs a lesson, at a terminal of its own."""

import fcntl
import os
import subprocess
import sys
import tempfile
import termios
import threading
from pathlib import Path

from lab_utils.controlplane.processes import wait_until
from lab_utils.settings import project_root

_LINE = 200


class Pupil:
    """A running lesson; leaving its context kills what is left of it.

    Args:
        state: The lab's state folder.
        cluster: Name of the cluster.
        manifests: What the lesson deploys.

    Attributes:
        said: What it has said so far: "step up", "step build", ...
    """

    def __init__(self, state: Path, cluster: str, manifests: Path) -> None:
        self.said: list[str] = []
        self._terminal, theirs = os.openpty()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 closed in __exit__
        settings = {"BACKEND": "embedded", "STATE_DIR": str(state), "CLUSTER": cluster}
        environment = {f"LAB_{name}": value for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.sweep.lesson", str(manifests)],
            env=os.environ | environment | {"LAB_QUIET": "1", "TMPDIR": str(state / "tmp")},
            cwd=project_root(),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Pupil":
        """Give itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        self._errors.close()
        self.close_terminal()

    def close_terminal(self) -> None:
        """Close its terminal, which the kernel tells it by SIGHUP; twice does nothing more."""
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def has_begun(self, step: str) -> bool:
        """Tell whether a step has begun."""
        return f"step {step}" in self.said

    def has_ended(self) -> bool:
        """Tell whether the lesson is over, well or not."""
        return self.process.poll() is not None

    def end(self, timeout_s: float) -> str | None:
        """Wait for the end; give what is wrong with it.

        A lesson ends with `done`, or with one sentence and exit code 1, or by the signal it got.
        """
        if not wait_until(self.has_ended, timeout_s=timeout_s):
            return f"the lesson hangs after {self.said[-1:]}"
        self._errors.seek(0)
        errors = self._errors.read().decode(errors="replace")
        if "Traceback" in errors:
            return f"a traceback after {self.said[-1:]}: {errors[-2000:]}"
        if self.process.returncode == 1 and not errors.startswith("lab: "):
            return f"exit code 1 without a sentence after {self.said[-1:]}: {errors[-_LINE:]}"
        return None

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.said.append(line.decode().strip())
