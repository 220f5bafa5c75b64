"""A Dockerfile to stages: what the embedded cluster needs to build an image without Docker.

Hides line continuations, quoting and the scopes of ARG and ENV. Never runs anything. What it cannot
honour it refuses by name, so that an image built here is never quietly another than Docker's.
Source: https://docs.docker.com/reference/dockerfile/
"""

import io
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from dockerfile_parse.parser import DockerfileParser
from dockerfile_parse.util import WordSplitter, extract_key_values

from lab_utils.errors import ImageError

_HEREDOC = re.compile(r"<<-?\s*[\"']?[A-Za-z_]")
_EXPANSION = re.compile(r"\$\{\w+[^\w}]")
_IGNORED = {"COMMENT", "HEALTHCHECK"}  # Kubernetes has probes and ignores an image's HEALTHCHECK
_COPY_FLAGS = {"from", "chown", "chmod", "link"}
_ARCHIVE = re.compile(r"\.(tar|tgz|tbz2|txz|tar\.\w+)$")


@dataclass(frozen=True)
class Copy:
    """A COPY from the build context, or from an earlier stage; target is absolute."""

    sources: tuple[str, ...]
    target: str
    stage: str | None
    line: int


@dataclass(frozen=True)
class Run:
    """A RUN: the command as written, and the folder it would run in."""

    command: str
    workdir: str
    line: int


@dataclass(frozen=True)
class Stage:
    """One FROM and what follows it."""

    base: str
    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = ""
    exposed: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    steps: tuple[Copy | Run, ...] = ()


def parse(text: str, where: str, build_args: Mapping[str, str] | None = None) -> list[Stage]:
    """Read a Dockerfile.

    Args:
        text: Its content.
        where: What to call it in an error.
        build_args: Values for ARGs, as `docker build --build-arg` takes them.

    Returns:
        Its stages in order; one that builds on another starts with that one's settings.

    Raises:
        ImageError: It cannot be read, or uses something that cannot be honoured here.
    """
    reader = _Reader(where, build_args or {})
    for entry in _instructions(text):
        if entry["instruction"] not in _IGNORED:
            reader.read(entry["instruction"], entry["value"].strip(), entry["startline"] + 1)
    if not reader.stages:
        raise ImageError(f"{where} has no FROM: a Dockerfile starts with one.")
    return reader.stages


class _Reader:
    """Takes instructions one by one; the last stage is the one being written."""

    def __init__(self, where: str, build_args: Mapping[str, str]) -> None:
        self.stages: list[Stage] = []
        self._where, self._build_args = where, build_args
        self._globals: dict[str, str] = {}
        self._line = 0
        self._handlers: dict[str, Callable[[str], None]] = {
            "FROM": self._from,
            "ARG": self._arg,
            "ENV": self._env,
            "LABEL": lambda value: self._set(labels={**self._stage.labels, **self._pairs(value)}),
            "WORKDIR": lambda value: self._set(workdir=self._absolute(self._word(value))),
            "USER": lambda value: self._set(user=self._word(value)),
            "EXPOSE": self._expose,
            "ENTRYPOINT": lambda value: self._set(entrypoint=_argv(value)),
            "CMD": lambda value: self._set(cmd=_argv(value)),
            "COPY": self._copy,
            "ADD": self._add,
            "RUN": lambda value: self._step(Run(value, self._stage.workdir, self._line)),
        }

    def read(self, instruction: str, value: str, line: int) -> None:
        """Take one instruction, or refuse it with its line."""
        self._line = line
        if instruction not in self._handlers:
            self._refuse(f"{instruction} is not read here, only {', '.join(self._handlers)}")
        if instruction in {"RUN", "COPY", "ADD"} and _HEREDOC.search(value):
            self._refuse(f"{instruction} with a heredoc (<<) is not read here: put it in a file")
        if instruction not in {"RUN", "CMD", "ENTRYPOINT"} and _EXPANSION.search(value):
            self._refuse("only $NAME and ${NAME} are replaced here: give the ARG a default")
        if not self.stages and instruction not in {"FROM", "ARG"}:
            self._refuse(f"{instruction} before the first FROM")
        try:
            self._handlers[instruction](value)
        except ValueError as exc:
            raise ImageError(f"{self._where}:{line}: {instruction}: {exc}.") from exc

    def _refuse(self, problem: str) -> NoReturn:
        raise ImageError(f"{self._where}:{self._line}: {problem}.")

    @property
    def _stage(self) -> Stage:
        return self.stages[-1]

    def _set(self, **changes: Any) -> None:
        self.stages[-1] = replace(self._stage, **changes)

    def _step(self, step: Copy | Run) -> None:
        self._set(steps=(*self._stage.steps, step))

    def _scope(self) -> dict[str, Mapping[str, str]]:
        if not self.stages:
            return {"args": self._globals, "envs": {}}
        return {"args": self._stage.args, "envs": self._stage.env}

    def _words(self, value: str) -> list[str]:
        return _split(value, **self._scope())

    def _word(self, value: str) -> str:
        return " ".join(self._words(value))

    def _pairs(self, value: str) -> dict[str, str]:
        return _key_values(value, **self._scope())

    def _absolute(self, path: str) -> str:
        joined = posixpath.join(self._stage.workdir if self.stages else "/", path)
        return posixpath.normpath(joined) + ("/" if path.endswith("/") and joined != "/" else "")

    def _from(self, value: str) -> None:
        words = _split(value, args=self._globals, envs={})
        words = [word for word in words if not word.startswith("--platform")]
        if len(words) not in {1, 3} or (len(words) == 3 and words[1].upper() != "AS"):
            raise ValueError(f"{value!r} is not `IMAGE` or `IMAGE AS NAME`")
        name = words[2] if len(words) == 3 else None
        parent = next((stage for stage in self.stages if stage.name == words[0]), Stage(words[0]))
        self.stages.append(replace(parent, base=words[0], name=name, args={}, steps=()))

    def _arg(self, value: str) -> None:
        for word in self._words(value):
            name, given, default = word.partition("=")
            known = self._globals.get(name, "") if not given and self.stages else default
            chosen = self._build_args.get(name, known)
            if self.stages:
                self._set(args={**self._stage.args, name: chosen})
            else:
                self._globals[name] = chosen

    def _env(self, value: str) -> None:
        self._set(env={**self._stage.env, **self._pairs(value)})

    def _expose(self, value: str) -> None:
        ports = [word if "/" in word else f"{word}/tcp" for word in self._words(value)]
        self._set(exposed=(*self._stage.exposed, *ports))

    def _copy(self, value: str) -> None:
        words = self._words(value)
        flags = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
        if unknown := sorted(set(flags) - _COPY_FLAGS):
            raise ValueError(f"--{unknown[0]} is not read here")
        paths = [word for word in words if not word.startswith("--")]
        if paths and paths[0].startswith("["):
            paths = list(_json_list(value[value.index("[") :]))
        if len(paths) < 2:
            raise ValueError(f"{value!r} wants at least one source and a target")
        *sources, target = paths
        if len(sources) > 1 and not target.endswith("/"):
            raise ValueError(f"several sources want a folder as target: write {target}/")
        absolute = self._absolute(target if target != "." else "./")
        self._step(Copy(tuple(sources), absolute, flags.get("from"), self._line))

    def _add(self, value: str) -> None:
        for word in self._words(value):
            if "://" in word or word.startswith("git@"):
                raise ValueError(f"{word} is on the net: download it first, then COPY it")
            if _ARCHIVE.search(word):
                raise ValueError(f"unpacking {word} is not done here: unpack it, then COPY it")
        self._copy(value)


def _instructions(text: str) -> list[dict[str, Any]]:
    """Split a Dockerfile into its instructions; the parser has no types, hence these three."""
    parser = DockerfileParser(fileobj=io.BytesIO(text.encode()))  # type: ignore[no-untyped-call]
    return list(parser.structure)


def _split(value: str, *, args: Mapping[str, str], envs: Mapping[str, str]) -> list[str]:
    splitter = WordSplitter(value, args=args, envs=envs)  # type: ignore[no-untyped-call]
    return list(splitter.split())  # type: ignore[no-untyped-call]


def _key_values(value: str, *, args: Mapping[str, str], envs: Mapping[str, str]) -> dict[str, str]:
    return dict(extract_key_values(True, args, envs, value))  # type: ignore[no-untyped-call]


def _argv(value: str) -> tuple[str, ...]:
    """Read the exec form; the shell form runs in a shell, as Docker runs it."""
    if value.startswith("["):
        return _json_list(value)
    return ("/bin/sh", "-c", value)


def _json_list(value: str) -> tuple[str, ...]:
    try:
        words = json.loads(value)
    except ValueError as exc:
        raise ValueError(f"{value} is not a JSON list: use double quotes") from exc
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{value} is not a JSON list of texts")
    return tuple(words)
