"""Other load generators, each in an environment of its own under build/bench-env."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab_utils.settings import project_root

_HERE = Path(__file__).parent
LOCUST = "locust==2.47.0"
LOADGEN = "mlcommons-loadgen==6.0.17"
AUTOCANNON = "autocannon@9.0.0"


class PeerMissing(Exception):
    """A peer is not here and cannot be installed."""


def run_python(script: str, requirement: str, *arguments: object) -> dict[str, Any]:
    """Run a script of this folder with a package that the lab itself must not import.

    Args:
        script: Its name; it prints one JSON object.
        requirement: What to install for it, once.
        arguments: Its arguments.
    """
    home = _environments() / requirement.partition("=")[0]
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        _install(requirement, [sys.executable, "-m", "venv", "--clear", home])
        _install(requirement, [python, "-m", "pip", "install", "--quiet", requirement])
        (home / ".ready").touch()
    command = [python, _HERE / script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script} broke: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_autocannon(*arguments: str) -> dict[str, Any]:
    """Run autocannon and give its JSON report."""
    home = _environments() / "autocannon"
    program = home / "node_modules" / ".bin" / "autocannon"
    if not program.exists():
        home.mkdir(exist_ok=True)
        npm = ["npm", "install", "--silent", "--no-audit", "--prefix", str(home), AUTOCANNON]
        _install(AUTOCANNON, npm)
    command = [str(program), "--json", "--no-progress", *arguments]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
    return found


def find_wrk() -> str:
    """Find wrk, or install it where that is allowed.

    Raises:
        PeerMissing: It is not to be had.
    """
    if shutil.which("wrk") is None and os.getuid() == 0 and shutil.which("apt-get"):
        _install("wrk", ["apt-get", "install", "--yes", "--quiet", "--quiet", "wrk"])
    if (found := shutil.which("wrk")) is None:
        raise PeerMissing("wrk")
    return found


def _install(peer: str, command: list[str | Path]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise PeerMissing(peer) from exc


def _environments() -> Path:
    folder = project_root() / "build" / "bench-env"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
