"""Built images of an embedded cluster: folders named by what is in them.

The digest is that of the content and the configuration alone, so that the same sources are the
same image, built when and wherever. An image appears whole, by a rename, or not at all.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab_utils.backends.base import Image
from lab_utils.controlplane.config import write_atomically
from lab_utils.controlplane.processes import birth_of, is_same
from lab_utils.dockerfile import Stage

_BUILD = ".build-"
"""How the folders of builds begin; the pid and the birth of the process that builds follow."""


class ImageStore:
    """The images in one folder: <hex digest>/config.json and <hex digest>/rootfs/."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder to build in, on the same file system, removed afterwards."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sweep()
        prefix = f"{_BUILD}{os.getpid()}-{birth_of(os.getpid())}-"
        with tempfile.TemporaryDirectory(prefix=prefix, dir=self._folder) as scratch:
            yield Path(scratch)

    def sweep(self) -> None:
        """Remove what builds that were killed have left; one that goes on is left in peace."""
        for scratch in self._folder.glob(f"{_BUILD}*"):
            pid, birth, *_ = scratch.name.removeprefix(_BUILD).split("-")
            if not is_same(int(pid), int(birth)):
                shutil.rmtree(scratch, ignore_errors=True)
        for partial in self._folder.glob("*/.config.json.*"):
            if birth_of(int(partial.suffix.removeprefix("."))) is None:
                partial.unlink(missing_ok=True)

    def names(self, tag: str) -> dict[str, str]:
        """Give every name of the image of this name, with its digest in hex; empty if none has."""
        for digest, config in self._configs().items():
            if tag in config["names"]:
                return dict.fromkeys(config["names"], digest)
        return {}

    def add(self, rootfs: Path, stage: Stage, tag: str, *more: str) -> Image:
        """Keep a root file system, made in `scratch`, as the image of these names.

        Args:
            rootfs: Moved into the store, unless the same image is there already.
            stage: What else the image says: environment, command, user.
            tag: Its name; an older image of that name loses it.
            more: Its other names.

        Returns:
            The image.
        """
        runtime = _runtime(stage)
        digest = _digest(rootfs, runtime)
        target = self._folder / digest
        if not target.exists():
            config = {
                "id": f"sha256:{digest}",
                "names": [],
                "size_bytes": sum(file.lstat().st_size for file in _files(rootfs)),
                "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "config": runtime,
            }
            whole = rootfs.parent / digest
            whole.mkdir(mode=0o700)
            rootfs.rename(whole / "rootfs")
            write_atomically(whole / "config.json", json.dumps(config, indent=1))
            with contextlib.suppress(FileExistsError):  # another process built the same meanwhile
                whole.rename(target)
        for name in filter(None, (tag, *more)):
            self._name(name, digest)
        return Image(tag, f"sha256:{digest}", self._configs()[digest]["size_bytes"], *more)

    def _configs(self) -> dict[str, dict[str, Any]]:
        files = self._folder.glob("[!.]*/config.json")
        return {file.parent.name: json.loads(file.read_text()) for file in files}

    def _name(self, tag: str, digest: str) -> None:
        """Give the name to one image and take it from every other."""
        for owner, config in self._configs().items():
            names = {name for name in config["names"] if name != tag}
            names |= {tag} if owner == digest else set()
            if sorted(names) != config["names"]:
                text = json.dumps(config | {"names": sorted(names)}, indent=1)
                write_atomically(self._folder / owner / "config.json", text)


def _runtime(stage: Stage) -> dict[str, Any]:
    """Give what a kubelet needs to run the image, in the words of the OCI image configuration."""
    return {
        "Env": [f"{name}={value}" for name, value in stage.env.items()],
        "WorkingDir": stage.workdir,
        "User": stage.user,
        "Entrypoint": list(stage.entrypoint),
        "Cmd": list(stage.cmd),
        "ExposedPorts": {port: {} for port in stage.exposed},
        "Labels": dict(stage.labels),
    }


def _files(rootfs: Path) -> list[Path]:
    """List what makes an image this image: compiled Python differs from build to build."""
    return sorted(path for path in rootfs.rglob("*") if "__pycache__" not in path.parts)


def _digest(rootfs: Path, runtime: dict[str, Any]) -> str:
    total = hashlib.sha256(json.dumps(runtime, sort_keys=True).encode())
    for path in _files(rootfs):
        total.update(f"\0{path.relative_to(rootfs)}\0".encode())
        if path.is_symlink():
            total.update(b"link" + os.fsencode(os.readlink(path)))
        elif path.is_file():
            total.update(b"run" if path.stat().st_mode & 0o100 else b"file")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
