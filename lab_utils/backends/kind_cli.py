"""The `kind` and `docker` commands as they are on the PATH: run, followed, their errors explained.

Argument lists only, never a shell. A command whose caller is interrupted is ended first.
"""

import os
import re
import subprocess
from collections.abc import Sequence

from lab_utils.backends.base import Progress
from lab_utils.backends.remedies import explain
from lab_utils.errors import BackendUnavailable

_ENDS_WITHIN_S = 10.0
_ANSWERS_WITHIN_S = 30.0
_MARKS = re.compile(r"^\s*[•✓✗]?\s*|[^\x20-\x7e]+|\s*\.\.\.\s*$")


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
