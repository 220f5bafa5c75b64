"""Whose turn it is on a cluster: two notebooks at once must not measure each other's changes.

A file of the learner's own state folder is the token: who fires or deploys locks it, and who
deploys signs it. A kernel whose signature has been replaced is told so before it measures what
another has deployed. Never keeps anybody from `reset`, which is the way out.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab_utils.bars import track
from lab_utils.errors import Taken
from lab_utils.waiting import wait_for

PATIENCE_S = 120.0
"""Twice as long as the longest run of the course."""


class Turns:
    """The turns of this process on one cluster; its threads share them.

    Args:
        path: The file, in a private folder.
        cluster: Name of the cluster, for messages.
        patience_s: How long to wait for somebody else's turn to end.
    """

    def __init__(self, path: Path, cluster: str, patience_s: float = PATIENCE_S) -> None:
        self._path, self._cluster, self._patience_s = path, cluster, patience_s
        self._guard = threading.Lock()
        self._holders, self._file = 0, -1
        self._signature = b""

    @contextmanager
    def take(self) -> Iterator[None]:
        """Keep others from firing and deploying while the context lasts; wait for those who do.

        Raises:
            Taken: Somebody else's turn does not end.
        """
        with self._guard:
            if self._holders == 0:
                self._file = self._lock()
            self._holders += 1
        try:
            yield
        finally:
            with self._guard:
                self._holders -= 1
                if self._holders == 0:
                    os.close(self._file)

    def sign(self) -> None:
        """Say that what is deployed from now on is this process's."""
        self._signature = secrets.token_hex(8).encode()
        file = self._open()
        try:
            os.pwrite(file, self._signature, 0)  # always as long as the one before
        finally:
            os.close(file)

    def require_mine(self) -> None:
        """Check that nobody has deployed since this process has; one that never has may go on.

        Raises:
            Taken: Somebody has.
        """
        with suppress(FileNotFoundError):
            if self._signature and self._path.read_bytes() != self._signature:
                raise Taken(
                    f"Another notebook or terminal has deployed to cluster {self._cluster!r} since "
                    "this one did, so this would measure what the other has made. Run the cell "
                    "with lab.ensure() again, then this one. Two notebooks at once want a cluster "
                    "each: begin one of them with %env LAB_CLUSTER=second"
                )

    def _lock(self) -> int:
        file = self._open()
        try:
            if not _try_lock(file):
                with track(f"Waiting: another notebook is busy on cluster {self._cluster!r}"):
                    self._wait(file)
        except BaseException:
            os.close(file)
            raise
        return file

    def _wait(self, file: int) -> None:
        late = Taken(
            f"Another notebook has been busy on cluster {self._cluster!r} for more than "
            f"{self._patience_s:.0f} s. Interrupt it there, or take the cluster over: lab.reset()"
        )
        wait_for(lambda: _try_lock(file) or None, timeout_s=self._patience_s, late=lambda: late)

    def _open(self) -> int:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
