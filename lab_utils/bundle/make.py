"""What goes into a bundle: images, libraries for the lab and for the worker, the project itself.

Downloads with `pip` and Docker as they are. A part that cannot be had is named and may be left out.
"""

import gzip
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab_utils import images
from lab_utils.backends import docker_build
from lab_utils.backends.base import Build
from lab_utils.backends.engine import SILENT_WORK_S, connect
from lab_utils.backends.kind_cli import CommandFailed, run
from lab_utils.backends.kind_images import save_command
from lab_utils.backends.remedies import explain
from lab_utils.bars import Bar, track
from lab_utils.bundle.archive import Workshop
from lab_utils.errors import ImageError, InvalidInput, LabError
from lab_utils.settings import Settings, project_root

PARTS = ("node-image", "base-image", "lab-images", "lab-wheels", "worker-wheels")
_SKIPPED = {".git", ".venv", "build", "report", "results", "logs", "__pycache__"}
_PLATFORMS = ("manylinux_2_28", "manylinux2014", "manylinux1")
_LEVEL = 1  # layers are large and mostly compressed inside


@dataclass(frozen=True)
class Part:
    """One part: how it is made, and what makes it this part and not another."""

    name: str
    file: str
    about: dict[str, Any]
    write: Callable[[Path, Bar], None]


def make_bundle(settings: Settings, target: Path, without: Collection[str] = ()) -> Path:
    """Write a bundle; called again after an interruption, it goes on where it was.

    Args:
        settings: Which images are meant.
        target: The file to write.
        without: Parts to leave out, of PARTS.

    Returns:
        The file.

    Raises:
        InvalidInput: There is no such part, or the file cannot be written.
        LabError: A part cannot be had here; says which, why, and how to leave it out.
    """
    if unknown := sorted(set(without) - set(PARTS)):
        raise InvalidInput(f"There is no part {unknown[0]!r}: want one of {', '.join(PARTS)}")
    parts = [part for part in _parts(settings) if part.name not in without]
    try:
        workshop = Workshop(target.absolute())
        with track(f"Bundling into {target.name}", len(parts) + 1) as bar:
            for number, part in enumerate(parts):
                bar.reach(number)
                bar.say(part.name)
                if not workshop.is_ready(part.name, part.about):
                    _make(part, workshop, bar)
            names = [part.name for part in parts]
            return workshop.finish(names, project_files(), lambda done, total: None)
    except OSError as exc:
        raise InvalidInput(
            f"The bundle cannot be written to {target}: {exc.strerror}. What is ready is kept; "
            "make room, or name another file."
        ) from exc


def _make(part: Part, workshop: Workshop, bar: Bar) -> None:
    path = workshop.folder / part.file
    try:
        part.write(path, bar)
    except LabError as exc:
        raise type(exc)(
            f"{exc} Part {part.name} of the bundle cannot be had here; leave it out with "
            f"--without {part.name}. What is ready is kept."
        ) from exc
    workshop.keep(part.name, path, part.about)


def _parts(settings: Settings) -> list[Part]:
    version = ".".join(platform.python_version_tuple()[:2])
    here = {"python": version, "machine": platform.machine(), "system": platform.system()}
    node, base = settings.node_image, settings.base_image
    own = [images.WORKER, images.LOAD]

    def save_node(path: Path, bar: Bar) -> None:
        if node is None:
            raise ImageError("Kind's node image is not named: set LAB_NODE_IMAGE to it.")
        _save([node.partition("@")[0]], path, bar)

    def save_own(path: Path, bar: Bar) -> None:
        with connect(timeout_s=SILENT_WORK_S) as client:
            for tag in own:
                wanted: Build = images.recipe(settings, tag)
                docker_build.build(client, wanted, bar.say)
        _save(own, path, bar)

    return [
        Part("node-image", "node-image.tar.gz", {"images": [node]}, save_node),
        Part(
            "base-image",
            "base-image.tar.gz",
            {"images": [base]},
            lambda path, bar: _save([base], path, bar),
        ),
        Part("lab-images", "lab-images.tar.gz", {"images": own}, save_own),
        Part("lab-wheels", "lab-wheels.tar", here, _download_own),
        Part(
            "worker-wheels",
            "worker-wheels.tar",
            {"base_image": base, "machine": platform.machine()},
            lambda path, bar: _download_worker(base, path, bar),
        ),
    ]


def _save(tags: list[str], path: Path, bar: Bar) -> None:
    """Write images of Docker as one compressed archive; pulls what is not there."""
    with connect(timeout_s=SILENT_WORK_S) as client:
        for tag in tags:
            if not client.images.list(name=tag):
                bar.say(f"Pulling {tag}")
                _pull(client, tag)
        archive = path.with_suffix("")
        architecture = str(client.images.get(tags[0]).attrs["Architecture"])
        command = save_command(client.api.api_version, architecture, tags, archive)
    try:
        run(command, bar.say)
    except CommandFailed as exc:
        raise ImageError(f"Saving {', '.join(tags)} failed: {exc}.") from exc
    with archive.open("rb") as plain, gzip.open(path, "wb", compresslevel=_LEVEL) as packed:
        shutil.copyfileobj(plain, packed, 2**20)
    archive.unlink()


def _pull(client: Any, tag: str) -> None:
    import docker

    try:
        client.images.pull(tag)
    except docker.errors.APIError as exc:
        raise ImageError(f"Pulling {tag} failed: {explain(str(exc.explanation or exc))}.") from exc


def _download_own(path: Path, bar: Bar) -> None:
    bar.say("Downloading the lab's libraries")
    lock = project_root() / "requirements.lock"
    _download(path, ["--require-hashes", "-r", str(lock)])


def _download_worker(base: str, path: Path, bar: Bar) -> None:
    bar.say("Downloading the worker's libraries")
    machine = {"arm64": "aarch64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    version = base.rpartition("python:")[2].partition("-")[0]
    options = ["--only-binary=:all:", "--python-version", version]
    for name in _PLATFORMS:
        options += ["--platform", f"{name}_{machine}"]
    _download(path, [*options, "-r", str(project_root() / "worker" / "requirements.txt")])


def _download(path: Path, options: list[str]) -> None:
    """Download wheels into a folder, which a second call finds and completes, and pack them."""
    folder = path.with_suffix("")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder)]
    environ = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environ, check=False
    )
    if done.returncode:
        raise ImageError(f"Downloading libraries failed: {explain(done.stderr)}.")
    with tarfile.open(path, "w") as tar:
        for wheel in sorted(folder.iterdir()):
            tar.add(wheel, wheel.name)


def project_files() -> list[tuple[Path, str]]:
    """List the project's own files: those that git knows, else all that were not made here."""
    root = project_root()
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        names = listing.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [
            path.relative_to(root).as_posix()
            for path in sorted(root.rglob("*"))
            if not _SKIPPED & set(path.relative_to(root).parts)
        ]
    return [(root / name, name) for name in names if (root / name).is_file()]
