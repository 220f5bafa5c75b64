"""Volumes as folders of the pod: emptyDir, configMap, secret, downwardAPI and projected ones.

Nothing can be mounted without root, so a container's mountPath does not exist for it. Where its
command, arguments or environment name a path at or below a mountPath, the kubelet writes the
folder of the volume instead; the same goes for absolute paths that exist in its image. A file that
opens `/etc/config/x` by a name of its own does not find it. readOnly is not enforced.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab_utils.controlplane.kubelet.env import ConfigError, Sources, field_value
from lab_utils.controlplane.status import Object

_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}


class VolumeError(Exception):
    """A volume cannot be made; the message is Kubernetes' own."""


def volume_references(pod: Object) -> set[tuple[str, str]]:
    """List the ConfigMaps and Secrets that a pod's volumes need."""
    return {
        (_KINDS[kind], source.get("secretName") or source["name"])
        for volume in pod["spec"].get("volumes", [])
        for kind, source in _sources(volume)
        if kind in _KINDS
    }


def write_volumes(folder: Path, pod: Object, sources: Sources) -> None:
    """Make the folder of each volume and fill it; what an emptyDir holds stays.

    Raises:
        VolumeError: A ConfigMap or Secret is not there and not optional.
    """
    for volume in pod["spec"].get("volumes", []):
        target = folder / volume["name"]
        target.mkdir(parents=True, exist_ok=True)
        try:
            files = [_files(kind, source, pod, sources) for kind, source in _sources(volume)]
        except ConfigError as exc:
            name = volume["name"]
            raise VolumeError(f'MountVolume.SetUp failed for volume "{name}" : {exc}') from exc
        for name, content in (item for part in files for item in part.items()):
            path = target / name
            if ".." in path.parts:
                raise VolumeError(f'volume "{volume["name"]}": path {name} leaves the volume')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


@dataclass(frozen=True)
class PathMap:
    """Where the paths a container sees are on this machine."""

    rootfs: Path
    mounts: Mapping[str, Path]

    @classmethod
    def of(cls, container: Object, rootfs: Path, volumes: Path) -> "PathMap":
        """Read the volumeMounts of a container."""
        mounts = {
            mount["mountPath"].rstrip("/"): volumes / mount["name"] / mount.get("subPath", "")
            for mount in container.get("volumeMounts", [])
        }
        return cls(rootfs, mounts)

    def resolve(self, text: str) -> str:
        """Translate a path below a mount, or one that exists in the image; leave all else."""
        if not text.startswith("/") or ".." in text:
            return text
        for mount, folder in self.mounts.items():
            if text == mount or text.startswith(f"{mount}/"):
                return str(folder) + text[len(mount) :]
        inside = self.rootfs / text.lstrip("/")
        return str(inside) if inside.exists() else text


def _sources(volume: Object) -> Iterator[tuple[str, Object]]:
    for kind, source in volume.items():
        if kind == "projected":
            for part in source.get("sources", []):
                yield from part.items()
        elif kind != "name":
            yield kind, source


def _files(kind: str, source: Object, pod: Object, sources: Sources) -> dict[str, str]:
    if kind == "downwardAPI":
        return {
            item["path"]: field_value(pod, item["fieldRef"]["fieldPath"], sources)
            for item in source.get("items", [])
            if "fieldRef" in item
        }
    if kind not in _KINDS:
        return {}
    name = source.get("secretName") or source["name"]
    data = sources.data.get((_KINDS[kind], name))
    if data is None:
        if source.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    if "items" not in source:
        return dict(data)
    return {item["path"]: data[item["key"]] for item in source["items"] if item["key"] in data}
