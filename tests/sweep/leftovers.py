"""What a lesson may have left behind: processes, ports, locks, files that are not whole."""

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from lab_utils.journal import list_journals
from lab_utils.runs import Run

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEPT = {"images", "lock"}
"""What `lab.down()` leaves of a cluster: built images, as they stay in Docker, and the lock."""


def processes_of(folder: Path) -> dict[int, str]:
    """List the processes of this machine that have to do with a folder: pid -> command line."""
    needle = os.fsencode(folder)
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            about = command + Path(f"/proc/{pid}/environ").read_bytes()
            if needle in about and pid != os.getpid():
                found[pid] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def left_in(state: Path, cluster: str) -> Iterator[str]:
    """Name what is not as a lesson that has ended should leave it."""
    root = state / "embedded" / cluster
    yield from (f"process {pid} is left: {name}" for pid, name in processes_of(state).items())
    if root.is_dir():
        yield from (f"{path} is left" for path in root.iterdir() if path.name not in _KEPT)
        yield from _unusable_images(root / "images")
        if not _is_free(root / "lock"):
            yield "the lock is held"
    yield from _unreadable_runs(state / "runs")


def listens(port: int) -> bool:
    """Tell whether anybody listens on a port of loopback."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _unusable_images(folder: Path) -> Iterator[str]:
    for image in folder.iterdir() if folder.is_dir() else ():
        entries = {path.name for path in image.iterdir()}
        if not _DIGEST.fullmatch(image.name) or entries != {"config.json", "rootfs"}:
            yield f"{image} is half an image: {sorted(entries)}"
        elif (image / "config.json").exists() and not _is_json(image / "config.json"):
            yield f"{image / 'config.json'} is half a file"


def _unreadable_runs(folder: Path) -> Iterator[str]:
    for journal in list_journals(folder)["folder"]:
        try:
            Run.load(journal)
        except Exception as exc:  # whatever it is, it is a finding
            yield f"{journal} cannot be read: {exc}"


def _is_free(lock: Path) -> bool:
    with suppress(FileNotFoundError, BlockingIOError), lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return not lock.exists()


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True
