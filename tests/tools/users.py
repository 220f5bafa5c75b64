"""Other users of this machine, where there may be some: processes with a uid of their own."""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Our own Python may lie in a home that nobody else may enter; the system's serves as well.
PYTHONS = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")


@dataclass(frozen=True)
class User:
    """A user without a name: a uid, and a home that everybody may look into."""

    uid: int
    home: Path
    interpreter: str

    def popen(self, *command: str, umask: int = 0o022, **env: str) -> subprocess.Popen[str]:
        """Start Python as this user, as after a login: nothing of our environment."""
        packages = ":".join([str(ROOT), *site.getsitepackages()])
        own = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "PYTHONPATH": packages}
        return subprocess.Popen(
            [self.interpreter, *command], user=self.uid, group=self.uid, extra_groups=[],
            umask=umask, cwd="/", env=own | {"LAB_BACKEND": "embedded"} | env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python as this user to its end."""
        process = self.popen(*command, **options)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def start_lab(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start the `lab` command as this user."""
        return self.popen("-m", "lab_utils.cli", *command, **options)

    def lab(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the `lab` command as this user."""
        return self.run("-m", "lab_utils.cli", *command, **options)

    def python(self, code: str, *arguments: str) -> str:
        """Run code as this user; give what it printed, or its last words."""
        done = self.run("-c", code, *arguments)
        return (done.stdout or done.stderr.strip().rpartition("\n")[2]).strip()


@contextmanager
def users(count: int) -> Iterator[list[User]]:
    """Make users; skip where this one may not become others, or others cannot run the lab."""
    if os.getuid() != 0:
        pytest.skip("only root can become other users")
    folder = Path(tempfile.mkdtemp(prefix="lab-users-"))  # pytest's own are closed to others
    folder.chmod(0o755)
    interpreter = _shared_python(folder)
    made = [User(4_200 + n, folder / str(n), interpreter) for n in range(count)]
    for user in made:
        user.home.mkdir(mode=0o755)
        os.chown(user.home, user.uid, user.uid)
    try:
        yield made
    finally:
        for user in made:
            user.lab("down")
        shutil.rmtree(folder)


def _shared_python(folder: Path) -> str:
    for interpreter in PYTHONS:
        user = User(4_200, folder, interpreter)
        with suppress(OSError):
            if user.python("import lab_utils.session; print('fine')") == "fine":
                return interpreter
    pytest.skip(f"no other user can run the lab from {ROOT} with one of {', '.join(PYTHONS)}")
