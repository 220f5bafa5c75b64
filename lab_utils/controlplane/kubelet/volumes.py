"""Volumes as folders of the pod: emptyDir, configMap, secret, downwardAPI and projected ones.

Nothing can be mounted without root. A Python container finds its volumes at their mountPaths all
the same (container/sitecustomize.py). For all others the kubelet writes the folder of the volume
where command, arguments or environment name a path at or below a mountPath; the same goes for
absolute paths that exist in the image. readOnly is not enforced. There is no service account token:
without RBAC a real one lets a pod do no more than look around. A volume's files change all at
once, as on a real node: each name leads through `..data`, a link to a folder that is never changed.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab_utils.controlplane.kubelet.env import (
    ConfigError,
    Content,
    Sources,
    field_value,
    resource_value,
)
from lab_utils.controlplane.status import Object

_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}
_CURRENT, _NEXT = "..data", "..data_tmp"


class VolumeError(Exception):
    """A volume cannot be made; the message is Kubernetes' own."""


def volume_references(pod: Object) -> Iterator[tuple[str, str]]:
    """Name the ConfigMaps and Secrets that a pod's volumes need."""
    for kind, source in _all_parts(pod):
        if kind in _KINDS:
            yield _KINDS[kind], source.get("secretName") or source["name"]


def changes_by_itself(pod: Object) -> bool:
    """Tell whether a volume's files may change while the pod stays as it is."""
    return any(volume_references(pod))


def shows_fields(pod: Object) -> bool:
    """Tell whether a volume's files say something about the pod itself."""
    return any(kind == "downwardAPI" for kind, _ in _all_parts(pod))


def write_volumes(folder: Path, pod: Object, sources: Sources) -> None:
    """Make the folder of each volume and fill it; what an emptyDir holds stays.

    Raises:
        VolumeError: A ConfigMap, a Secret or a key in one is not there and not optional.
    """
    for volume in pod["spec"].get("volumes", []):
        target = folder / volume["name"]
        target.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume:
            continue
        try:
            files: dict[str, bytes] = {}
            for kind, source in _parts(volume):
                files |= _files(kind, source, pod, sources)
        except ConfigError as exc:
            name = volume["name"]
            raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : {exc}') from exc
        _publish(target, files)


def mounts_of(container: Object, volumes: Path) -> dict[str, Path]:
    """Tell which folder on this machine stands for each of a container's mountPaths."""
    return {
        mount["mountPath"].rstrip("/") or "/": volumes / mount["name"] / mount.get("subPath", "")
        for mount in container.get("volumeMounts", [])
    }


def local_path(text: str, mounts: Mapping[str, Path], rootfs: Path) -> str:
    """Translate paths below a mount, also within a text, or one that is in the image."""
    for mount, folder in mounts.items():
        text = re.sub(rf"(?<![\w./-]){re.escape(mount)}(?![\w.-])", str(folder), text)
    if not text.startswith("/") or ".." in text:
        return text
    inside = rootfs / text.lstrip("/")
    return str(inside) if inside.exists() else text


def _publish(target: Path, files: Mapping[str, bytes]) -> None:
    """Make these the files of a volume, all at once; those of before go."""
    if _read(target / _CURRENT) == files:
        return
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=target))
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    old = (target / _CURRENT).resolve()
    (target / _NEXT).symlink_to(fresh.name)
    os.replace(target / _NEXT, target / _CURRENT)
    wanted = {Path(name).parts[0] for name in files}
    for name in wanted - set(os.listdir(target)):
        (target / name).symlink_to(Path(_CURRENT, name))
    for name in set(os.listdir(target)) - wanted:
        if not name.startswith(".."):
            (target / name).unlink()
    if old.name != _CURRENT:
        shutil.rmtree(old, ignore_errors=True)


def _read(folder: Path) -> dict[str, bytes] | None:
    """Give the files of a volume as they are; None if there are none yet."""
    with contextlib.suppress(FileNotFoundError):
        root = folder.resolve(strict=True)
        found = (path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root)): path.read_bytes() for path in found}
    return None


def _all_parts(pod: Object) -> Iterator[tuple[str, Object]]:
    for volume in pod["spec"].get("volumes", []):
        yield from _parts(volume)


def _parts(volume: Object) -> Iterator[tuple[str, Object]]:
    """Give kind and source of a volume; a projected one has several."""
    for part in volume.get("projected", {}).get("sources", [volume]):
        yield from ((kind, source) for kind, source in part.items() if kind != "name")


def _files(kind: str, source: Object, pod: Object, sources: Sources) -> dict[str, bytes]:
    if kind == "downwardAPI":
        items = source.get("items", [])
        return {_inside(item["path"]): _shown(item, pod, sources).encode() for item in items}
    if kind not in _KINDS:
        return {}
    data = sources.require(_KINDS[kind], source)
    if "items" not in source:
        return {name: _bytes(content) for name, content in data.items()}
    found = {}
    for item in source["items"]:
        if item["key"] in data:
            found[_inside(item["path"])] = _bytes(data[item["key"]])
        elif not source.get("optional"):
            what = "config" if kind == "configMap" else "secret"
            owner = "configmap" if kind == "configMap" else "secret"
            raise ConfigError(f"{owner} references non-existent {what} key: {item['key']}")
    return found


def _shown(item: Object, pod: Object, sources: Sources) -> str:
    if "fieldRef" in item:
        return field_value(pod, item["fieldRef"]["fieldPath"], sources)
    return resource_value(pod, {}, item["resourceFieldRef"])


def _bytes(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _inside(name: str) -> str:
    if ".." in Path(name).parts or name.startswith("/"):
        raise ConfigError(f"path {name} leaves the volume")
    return name
