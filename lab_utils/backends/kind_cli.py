"""The `kind` and `docker` commands as they are on the PATH: run, followed, their errors explained.

Argument lists only, never a shell. A command whose caller is interrupted is ended first.
"""

import os
import re
import subprocess
from collections.abc import Sequence

from lab_utils.backends.base import Progress
from lab_utils.errors import BackendUnavailable

_ENDS_WITHIN_S = 10.0
_ANSWERS_WITHIN_S = 30.0
_MARKS = re.compile(r"^\s*[•✓✗]?\s*|[^\x20-\x7e]+|\s*\.\.\.\s*$")
_REMEDIES = {
    "toomanyrequests": "Docker Hub limits downloads per network: `docker login`, or wait an hour",
    "no space left": "free some disk space: `docker system df` shows what Docker uses",
    "too many open files": "raise fs.inotify.max_user_instances to 512 (`lab doctor` shows how)",
    "already allocated": "another program has the port: set LAB_HTTP_PORT to a free one",
    "address already in use": "another program has the port: set LAB_HTTP_PORT to a free one",
    "manifest unknown": "there is no such image: check LAB_NODE_IMAGE and LAB_BASE_IMAGE",
    "no such host": "this machine does not reach the registry: check the network or the proxy",
    "i/o timeout": "this machine does not reach the registry: check the network or the proxy",
    "certificate signed by unknown": "the network replaces certificates: ask who runs its proxy",
    "Cannot connect to the Docker daemon": "start Docker, then try again",
    "permission denied": "run `sudo usermod -aG docker $USER` and log in again",
}


class CommandFailed(Exception):
    """A command ended with an error; the message is its own reason and, if known, a remedy."""


def run(arguments: Sequence[str], progress: Progress) -> str:
    """Run a command and follow what it says.

    Args:
        arguments: The command's name and its arguments.
        progress: Told each line.

    Returns:
        All it wrote.

    Raises:
        BackendUnavailable: There is no such command.
        CommandFailed: It ended with an error.
    """
    # Kind would take another engine if this variable said so; the nodes are looked for in Docker.
    env = os.environ | {"KIND_EXPERIMENTAL_PROVIDER": "docker"}
    try:
        process = subprocess.Popen(
            arguments,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as exc:
        raise BackendUnavailable(f"Cannot run `{arguments[0]}`: {exc.strerror}.") from exc
    with process:
        output = _follow(process, progress)
    if process.returncode:
        raise CommandFailed(explain(output) or f"{arguments[0]} exited with {process.returncode}")
    return output


def ask(arguments: Sequence[str]) -> str:
    """Run a short command and give what it writes to its standard output alone.

    Raises:
        BackendUnavailable: There is no such command, or it does not end.
        CommandFailed: It ended with an error.
    """
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWERS_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise BackendUnavailable(
            f"`{' '.join(arguments)}` did not answer within {_ANSWERS_WITHIN_S:.0f} s."
        ) from exc
    except OSError as exc:
        raise BackendUnavailable(f"Cannot run `{arguments[0]}`: {exc.strerror}.") from exc
    if done.returncode:
        raise CommandFailed(explain(done.stderr) or f"exit code {done.returncode}")
    return done.stdout


def _follow(process: "subprocess.Popen[str]", progress: Progress) -> str:
    lines = []
    try:
        for line in process.stdout or ():
            lines.append(line)
            if text := _MARKS.sub("", line).strip():
                progress(text)
        process.wait()
    except BaseException:  # an interrupt too: what it started must not go on alone
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    return "".join(lines)


def explain(output: str) -> str:
    """Take the reason out of what a command wrote: its error line, its last words, a remedy."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "command output"))]
    reason = "; ".join(dict.fromkeys([*(errors or lines[-1:])]))[:400].rstrip(".")
    remedy = next((text for sign, text in _REMEDIES.items() if sign in output), "")
    return f"{reason}. Next step: {remedy}" if remedy else reason
