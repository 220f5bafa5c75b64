"""What a Dockerfile's `pip install` wants, against what this Python environment has.

The embedded cluster runs containers with the lab's own interpreter, so the libraries of an image
must be here already. Nothing is ever installed.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from lab_utils.errors import ImageError

_SUBSTITUTION = re.compile(r"\$\([^()]*\)")
_COMMANDS = {"install", "wheel", "download"}
_WITH_VALUE = {
    "-c", "-d", "-e", "-f", "-i", "-t", "-w", "--cache-dir", "--constraint", "--dest",
    "--extra-index-url", "--find-links", "--index-url", "--platform", "--prefix", "--retries",
    "--root", "--target", "--timeout", "--wheel-dir",
}  # fmt: skip


def requirements_of(command: str, root: Path, workdir: str) -> list[str] | None:
    """Find what the pip commands of a RUN would install.

    Args:
        command: The RUN as written.
        root: The root file system it would run in.
        workdir: Its working folder there.

    Returns:
        Requirements such as "fastapi==0.115"; None when the command does not call pip.

    Raises:
        ImageError: A requirements file it names is not in root.
    """
    calls = list(_pip_calls(command))
    if not calls:
        return None
    return [found for arguments in calls for found in _wanted(arguments, root, workdir)]


def compare(requirements: list[str]) -> tuple[list[str], list[str]]:
    """Compare requirements with this environment.

    Returns:
        Those not installed at all, and those installed in another version: "x==2 (here is 1.0)".
    """
    absent, differing = [], []
    for text in requirements:
        wanted = _parse(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            here = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            absent.append(text)
            continue
        if not wanted.specifier.contains(here, prereleases=True):
            differing.append(f"{text} (here is {here})")
    return absent, differing


def _pip_calls(command: str) -> Iterator[list[str]]:
    """Give the arguments of each `pip install` in a shell command."""
    lexer = shlex.shlex(_SUBSTITUTION.sub("", command), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:  # unbalanced quotes: not for us to judge, the command is never run
        return
    call: list[str] | None = None
    for before, word in zip(["", *words], [*words, ";"], strict=True):
        if word and set(word) <= set("();<>|&"):
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif word in _COMMANDS and before.rpartition("/")[2].startswith("pip"):
            call = []


def _wanted(arguments: list[str], root: Path, workdir: str) -> Iterator[str]:
    rest = iter(arguments)
    for word in rest:
        if word in {"-r", "--requirement"}:
            yield from _read(root, posixpath.join(workdir, next(rest, "")))
        elif word in _WITH_VALUE:
            next(rest, None)
        elif word[0] not in "-.$" and "/" not in word:  # else an option, a path or a variable
            yield word


def _read(root: Path, name: str) -> Iterator[str]:
    try:
        lines = (root / name.lstrip("/")).read_text().splitlines()
    except OSError as exc:
        raise ImageError(f"no requirements file {name} was copied before this line") from exc
    for line in lines:
        text = line.partition(" #")[0].strip()
        if text.startswith(("-r ", "--requirement ")):
            yield from _read(root, posixpath.join(posixpath.dirname(name), text.split()[1]))
        elif text and text[0] not in "#-":
            yield text.split(" --")[0]  # hashes and options follow


def _parse(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as exc:
        raise ImageError(f"the requirement {text!r} cannot be read") from exc
