"""What becomes of a bundle where there is no internet: images into Docker, wheels to the builds.

The embedded cluster needs no images, so a machine without Docker takes the rest.
"""

import gzip
import platform
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from lab_utils.backends.engine import SILENT_WORK_S, connect, probe
from lab_utils.bars import Bar, track
from lab_utils.bundle.archive import Entry, unpack
from lab_utils.errors import InvalidInput
from lab_utils.settings import Settings, project_root, state_root


def load_bundle(settings: Settings, bundle: Path) -> list[str]:
    """Use a bundle; called again, it does what is still to be done.

    Args:
        settings: Where state is kept.
        bundle: The file.

    Returns:
        One sentence for each part: what was done with it, or why nothing was.

    Raises:
        InvalidInput: It is no bundle, it is damaged, or there is no room to unpack it.
    """
    folder = state_root(settings) / "bundle"
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with track(f"Loading {bundle.name}") as bar:
            entries = unpack(bundle, folder, bar.reach)
            said = [_use(entry, folder / entry.file, bar) for entry in entries]
        shutil.rmtree(folder)
    except OSError as exc:
        raise InvalidInput(
            f"The bundle cannot be unpacked to {folder}: {exc.strerror}. Set LAB_STATE_DIR to a "
            "folder on a disk with room."
        ) from exc
    return said


def _use(entry: Entry, path: Path, bar: Bar) -> str:
    bar.say(entry.name)
    if "images" in entry.about:
        return _load_images(entry, path)
    if entry.name == "worker-wheels":
        target = project_root() / "worker" / "wheels"
        count = _extract(path, target)
        return f"{entry.name}: {count} wheels in {target}, which worker/Dockerfile prefers"
    target = project_root() / "build" / "wheels"
    count = _extract(path, target)
    wanted, here = entry.about["python"], platform.python_version()
    made_for = "" if here.startswith(wanted) else f" (made for Python {wanted}, this is {here})"
    return f"{entry.name}: {count} libraries in {target}{made_for}, for pip --find-links"


def _load_images(entry: Entry, path: Path) -> str:
    tags = ", ".join(filter(None, entry.about["images"]))
    if problem := probe().problem:
        return f"{entry.name}: left out. {problem} The embedded cluster does without."
    with connect(timeout_s=SILENT_WORK_S) as client, gzip.open(path) as archive:
        client.images.load(archive)
    remark = f"; set LAB_NODE_IMAGE={tags}" if entry.name == "node-image" else ""
    return f"{entry.name}: {tags} in Docker{remark}"


def _extract(path: Path, target: Path) -> int:
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path) as tar:
        tar.extractall(target, members=_files(tar), filter="data")
        return len(tar.getnames())


def _files(tar: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    return [member for member in tar.getmembers() if member.isfile()]
