"""kubectl as a person runs it, with a home of its own and default validation."""

import os
import pty
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.contract.cluster import Namespace, Object

TIMEOUT_S = 120.0


class Kubectl:
    """One kubectl binary, one namespace."""

    def __init__(self, binary: str, namespace: Namespace, home: Path) -> None:
        self.namespace, self.home = namespace, home
        self._command = [binary, "--namespace", namespace.name]
        self.environment = os.environ | {
            "HOME": str(home),
            "KUBECONFIG": str(namespace.cluster.kubeconfig),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def run(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever the end is."""
        return subprocess.run(
            [*self._command, *arguments], input=stdin, env=self.environment | env,
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip

    def __call__(self, *arguments: str, stdin: str = "", warns: str = "", **env: str) -> str:
        """Give what a successful command prints; it warns of what it is expected to, no more."""
        done = self.run(*arguments, stdin=stdin, **env)
        assert done.returncode == 0, done.stderr
        assert warns in done.stderr if warns else done.stderr == ""
        return done.stdout

    def read(self, kind: str, name: str) -> Object:
        """Give an object as the server has it; it must be there."""
        found = self.namespace.read(kind, name)
        assert found is not None
        return found

    def refused(self, *arguments: str, stdin: str = "", code: int = 1) -> str:
        """Give what a command that must fail says."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    def on_terminal(self, size: tuple[int, int], *arguments: str) -> str:
        """Run on a terminal of so many rows and columns; give what it showed."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, size)
        with open(ours, "rb", buffering=0) as screen:
            process = subprocess.Popen(
                [*self._command, *arguments], env=self.environment,
                stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            )  # fmt: skip
            os.close(theirs)
            shown = b""
            with suppress(OSError):  # how a terminal without anybody on it ends
                while part := screen.read(4096):
                    shown += part
            assert process.wait(TIMEOUT_S) == 0, shown
        return shown.decode()

    @contextmanager
    def running(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run a command that goes on, and end it; its output is a stream of lines."""
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                [*self._command, *arguments], env=self.environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            with process:
                try:
                    yield process
                finally:
                    process.terminate()
                    process.wait(10)
