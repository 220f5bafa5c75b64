"""A disk that is full: a small tmpfs, where this user may mount one."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def try_disk(folder: Path, size: str) -> Iterator[str]:
    """Mount a disk of this size on a folder; give why not, where that is refused."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    try:
        yield mounted.stderr
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str = "256k") -> Iterator[Path]:
    """Mount a disk of this size on a folder, or skip."""
    with try_disk(folder, size) as refused:
        if refused:
            pytest.skip(f"a small disk has to be mounted, and that is refused: {refused}")
        yield folder


def fill(folder: Path) -> Path:
    """Write until not a byte more fits; give the file that takes the room."""
    ballast = folder / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast
