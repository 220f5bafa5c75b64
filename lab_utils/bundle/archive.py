"""A bundle as a file: a tar of parts, the first of them an index that knows each part's checksum.

Made part by part in a folder beside it, so that an interrupted making goes on where it was. Appears
as a whole, by a rename, or not at all; nothing in it is used before its checksum was compared.
"""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab_utils.errors import InvalidInput

FORMAT = 1
"""Version of the layout."""
ROOT = "k8s-inference-lab"
"""Name of the folder that a bundle unpacks to: the project's own files are right in it."""
INDEX = "bundle.json"
_BLOCK = 2**20
Reach = Callable[[float, float], None]
"""Told (bytes done, bytes in all)."""


@dataclass(frozen=True)
class Entry:
    """One part: its file below bundle/, its checksum, and what is needed to use it."""

    name: str
    file: str
    sha256: str
    size_bytes: int
    about: dict[str, Any] = field(default_factory=dict)


def checksum(path: Path) -> str:
    """Give the SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Workshop:
    """The folder in which a bundle is made, and what is ready in it."""

    def __init__(self, target: Path) -> None:
        self._target, self.folder = target, target.with_name(target.name + ".parts")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._index = self.folder / INDEX
        self.entries = _read_entries(self._index.read_text()) if self._index.exists() else {}

    def is_ready(self, name: str, about: dict[str, Any]) -> bool:
        """Tell whether a part is there already, whole and about the same thing."""
        entry = self.entries.get(name)
        path = self.folder / entry.file if entry else self.folder
        return (
            entry is not None
            and entry.about == about
            and path.is_file()
            and path.stat().st_size == entry.size_bytes
            and checksum(path) == entry.sha256
        )

    def keep(self, name: str, path: Path, about: dict[str, Any]) -> None:
        """Note a part as ready."""
        size = path.stat().st_size
        self.entries[name] = Entry(name, path.name, checksum(path), size, about)
        self._index.write_text(_write_entries(self.entries))

    def finish(self, names: list[str], project: list[tuple[Path, str]], reach: Reach) -> Path:
        """Put the parts and the project's own files into the bundle, and remove the folder.

        Args:
            names: Of the parts, in the order in which they are to be used.
            project: Each file and its path in the project.
            reach: Told how far it is.
        """
        kept = {name: self.entries[name] for name in names}
        self._index.write_text(_write_entries(kept))
        total = sum(entry.size_bytes for entry in kept.values())
        partial = self._target.with_name(f".{self._target.name}.partial")
        done = 0
        with tarfile.open(partial, "w") as tar:
            tar.add(self._index, f"{ROOT}/bundle/{INDEX}")
            for path, name in project:
                tar.add(path, f"{ROOT}/{name}", recursive=False)
            for entry in kept.values():
                tar.add(self.folder / entry.file, f"{ROOT}/bundle/{entry.file}")
                done += entry.size_bytes
                reach(done, total)
        partial.replace(self._target)
        shutil.rmtree(self.folder)
        return self._target


def unpack(bundle: Path, folder: Path, reach: Reach) -> list[Entry]:
    """Take the parts out of a bundle and compare their checksums; what is there already is kept.

    Args:
        bundle: The file, or the folder that `tar xf` has made of it.
        folder: Where to put the parts.
        reach: Told how far it is.

    Returns:
        The parts, in the order in which they are to be used.

    Raises:
        InvalidInput: It is no bundle, or a part of it is damaged.
    """
    try:
        with tarfile.open(bundle) as tar:
            return _unpack(tar, folder, reach)
    except (OSError, tarfile.TarError, KeyError, ValueError) as exc:
        if isinstance(exc, InvalidInput):
            raise
        raise InvalidInput(
            f"{bundle} is no bundle of the lab, or not whole: {exc}. Copy it again, or make it "
            "with `lab bundle FILE` on a machine with internet."
        ) from exc


def _unpack(tar: tarfile.TarFile, folder: Path, reach: Reach) -> list[Entry]:
    index = tar.extractfile(f"{ROOT}/bundle/{INDEX}")
    entries = _read_entries(index.read().decode() if index else "")
    total = sum(entry.size_bytes for entry in entries.values())
    done = 0
    for entry in entries.values():
        path = folder / Path(entry.file).name
        if not path.is_file() or checksum(path) != entry.sha256:
            source = tar.extractfile(f"{ROOT}/bundle/{entry.file}")
            with path.open("wb") as target:
                while source and (block := source.read(_BLOCK)):
                    target.write(block)
                    reach(done + target.tell(), total)
        if checksum(path) != entry.sha256:
            path.unlink()
            raise InvalidInput(
                f"Part {entry.name} of the bundle is damaged: its checksum differs. Copy the "
                "bundle again; the parts that are whole are kept."
            )
        done += entry.size_bytes
        reach(done, total)
    return list(entries.values())


def _write_entries(entries: dict[str, Entry]) -> str:
    parts = [asdict(entry) for entry in entries.values()]
    return json.dumps({"format": FORMAT, "parts": parts}, indent=1) + "\n"


def _read_entries(text: str) -> dict[str, Entry]:
    content = json.loads(text)
    if content["format"] != FORMAT:
        raise InvalidInput(
            f"The bundle is of format {content['format']}, and this lab reads {FORMAT}: use the "
            "lab that is in the bundle."
        )
    return {part["name"]: Entry(**part) for part in content["parts"]}
