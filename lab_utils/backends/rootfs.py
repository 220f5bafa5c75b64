"""Stages of a Dockerfile to a folder of files: the embedded cluster's `docker build`.

Copies what COPY says, honours `.dockerignore`, and writes nowhere but into its scratch folder.
Runs nothing: a RUN with pip is checked against this environment, which stands in for what it would
have installed; `python -m compileall` is done; any other RUN is named and left out.
"""

import compileall
import posixpath
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from py_compile import PycInvalidationMode

from docker.utils.build import exclude_paths

from lab_utils.backends.base import Progress
from lab_utils.backends.pip_check import compare, requirements_of
from lab_utils.dockerfile import Copy, Run, Stage
from lab_utils.errors import ImageError

_COMPILE = "python -m compileall "


@dataclass(frozen=True)
class Tree:
    """Files that may be copied: relative paths of a folder, sorted."""

    root: Path
    paths: tuple[str, ...]

    @classmethod
    def of_context(cls, context: Path, dockerfile: Path) -> "Tree":
        """Take a build context without what its .dockerignore leaves out."""
        ignore = context / ".dockerignore"
        lines = ignore.read_text().splitlines() if ignore.is_file() else []
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return cls(context, tuple(sorted(exclude_paths(context, patterns, dockerfile.name))))

    @classmethod
    def of_folder(cls, root: Path) -> "Tree":
        """Take all of a folder."""
        return cls(root, tuple(sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))))

    def find(self, source: str) -> list[str]:
        """Find what a COPY source names: files, folders, or "." for all."""
        wanted = posixpath.normpath("/" + source.lstrip("/"))
        if wanted == "/":
            return ["."]
        return [path for path in self.paths if PurePosixPath("/" + path).match(wanted)]

    def below(self, folder: str) -> list[str]:
        """List what is in a folder, relative to it."""
        if folder == ".":
            return list(self.paths)
        start = folder + "/"
        return [path.removeprefix(start) for path in self.paths if path.startswith(start)]


class Assembly:
    """Builds the stages of one Dockerfile, each into a folder of its own."""

    def __init__(self, where: str, context: Tree, scratch: Path, progress: Progress) -> None:
        self._where, self._context = where, context
        self._scratch, self._progress = scratch, progress
        self._built: dict[str, tuple[Stage, Path]] = {}

    def build(self, stages: list[Stage]) -> Path:
        """Build every stage in order; the last one's root file system is the image's.

        Raises:
            ImageError: A source is not there, or this environment lacks a library.
        """
        for number, stage in enumerate(stages):
            root = self._begin(stage, number)
            for step in stage.steps:
                if isinstance(step, Copy):
                    self._copy(step, root)
                else:
                    self._run(step, root)
            (root / stage.workdir.strip("/")).mkdir(parents=True, exist_ok=True)
            for name in filter(None, (str(number), stage.name)):
                self._built[name] = (stage, root)
        return root

    def _begin(self, stage: Stage, number: int) -> Path:
        root = self._scratch / str(number)
        if stage.base in self._built:
            shutil.copytree(self._built[stage.base][1], root, symlinks=True)
        else:
            root.mkdir(parents=True)
        return root

    def _run(self, step: Run, root: Path) -> None:
        where = f"{self._where}:{step.line}"
        if step.command.startswith(_COMPILE):
            _compile(step.command, root)
            return
        try:
            wanted = requirements_of(step.command, root, step.workdir)
            absent, differing = compare(wanted or [])
        except ImageError as exc:
            raise ImageError(f"{where}: {exc}.") from exc
        if absent:
            raise ImageError(
                f"{where} wants libraries that this Python environment does not have: "
                f"{', '.join(absent)}. Install them: `pip install -e .` in the clone."
            )
        if differing:
            self._progress(f"{where}: other versions than in Docker: {', '.join(differing)}")
        elif wanted is None:
            self._progress(f"{where}: RUN {step.command:.40}: left out here")
        else:
            self._progress(f"{where}: {len(wanted)} libraries are in this environment")

    def _copy(self, step: Copy, root: Path) -> None:
        tree, made_by_run = self._source(step)
        hits = []
        for source in step.sources:
            found = tree.find(source)
            hits += found
            if not found and not _is_pattern(source) and not made_by_run:
                self._refuse(step, f"{source} is not there, or .dockerignore leaves it out")
        if not hits:
            if not made_by_run:
                self._refuse(step, f"nothing matches {' '.join(step.sources)}")
            self._progress(
                f"{self._where}:{step.line}: {step.sources[0]} comes from a RUN: "
                "this Python environment stands in for it"
            )
        target = root / step.target.strip("/")
        into = step.target.endswith("/") or len(hits) > 1 or target.is_dir()
        for hit in hits:
            self._place(tree, hit, target, into, root)

    def _source(self, step: Copy) -> tuple[Tree, bool]:
        if step.stage is None:
            return self._context, False
        if step.stage not in self._built:
            self._refuse(step, f"--from={step.stage} is no earlier stage of this file")
        stage, root = self._built[step.stage]
        return Tree.of_folder(root), any(isinstance(other, Run) for other in stage.steps)

    def _refuse(self, step: Copy, problem: str) -> None:
        raise ImageError(f"{self._where}:{step.line}: COPY: {problem}.")

    def _place(self, tree: Tree, hit: str, target: Path, into: bool, root: Path) -> None:
        origin = tree.root / hit
        if not origin.is_dir() or origin.is_symlink():
            _copy_file(origin, target / origin.name if into else target, root)
            return
        target.mkdir(parents=True, exist_ok=True)
        for path in tree.below(hit):
            if (origin / path).is_dir() and not (origin / path).is_symlink():
                (target / path).mkdir(parents=True, exist_ok=True)
            else:
                _copy_file(origin / path, target / path, root)


def _compile(command: str, root: Path) -> None:
    """Compile as the image would: under its CPU limit a pod would need seconds for it."""
    for folder in command.removeprefix(_COMPILE).split():
        if not folder.startswith("-"):
            compileall.compile_dir(
                root / folder.strip("/"),
                quiet=2,
                stripdir=root,
                prependdir="/",
                invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,  # copies have other dates
            )


def _is_pattern(source: str) -> bool:
    return any(character in source for character in "*?[")


def _copy_file(origin: Path, target: Path, root: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise ImageError(f"COPY of {origin.name} would leave the image through a symbolic link.")
    target.unlink(missing_ok=True)
    shutil.copyfile(origin, target, follow_symlinks=False)
    if not target.is_symlink():
        target.chmod(0o755 if origin.stat().st_mode & 0o100 else 0o644)
