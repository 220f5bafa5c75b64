"""Volumes as folders of the pod: emptyDir, configMap, secret, downwardAPI and projected ones.

Nothing can be mounted without root. A Python container finds its volumes at their mountPaths all
the same (container/sitecustomize.py). For all others the kubelet writes the folder of the volume
where command, arguments or environment name a path at or below a mountPath; the same goes for
absolute paths that exist in the image. readOnly is not enforced.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab_utils.controlplane.kubelet.env import ConfigError, Sources, field_value
from lab_utils.controlplane.status import Object

_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}


class VolumeError(Exception):
    """A volume cannot be made; the message is Kubernetes' own."""


def volume_references(pod: Object) -> Iterator[tuple[str, str]]:
    """Name the ConfigMaps and Secrets that a pod's volumes need."""
    for volume in pod["spec"].get("volumes", []):
        for kind, source in _parts(volume):
            if kind in _KINDS:
                yield _KINDS[kind], source.get("secretName") or source["name"]


def write_volumes(folder: Path, pod: Object, sources: Sources) -> None:
    """Make the folder of each volume and fill it; what an emptyDir holds stays.

    Raises:
        VolumeError: A ConfigMap or Secret is not there and not optional.
    """
    for volume in pod["spec"].get("volumes", []):
        target = folder / volume["name"]
        target.mkdir(parents=True, exist_ok=True)
        try:
            for kind, source in _parts(volume):
                for name, content in _files(kind, source, pod, sources).items():
                    path = target / name
                    if ".." in path.parts:
                        raise ConfigError(f"path {name} leaves the volume")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(content)
        except ConfigError as exc:
            name = volume["name"]
            raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : {exc}') from exc


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


def _parts(volume: Object) -> Iterator[tuple[str, Object]]:
    """Give kind and source of a volume; a projected one has several."""
    for part in volume.get("projected", {}).get("sources", [volume]):
        yield from ((kind, source) for kind, source in part.items() if kind != "name")


def _files(kind: str, source: Object, pod: Object, sources: Sources) -> Mapping[str, str]:
    if kind == "downwardAPI":
        return {
            item["path"]: field_value(pod, item["fieldRef"]["fieldPath"], sources)
            for item in source.get("items", [])
            if "fieldRef" in item
        }
    if kind not in _KINDS:
        return {}
    data = sources.require(_KINDS[kind], source)
    if "items" not in source:
        return data
    return {item["path"]: data[item["key"]] for item in source["items"] if item["key"] in data}
