"""The images of one node: found, or refused in the words of Kubernetes.

An image is on a node when it was loaded there; nothing is ever pulled, so a pull fails as it does
without a network.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from lab_utils.controlplane.config import Layout
from lab_utils.controlplane.status import Object


@dataclass(frozen=True)
class Image:
    """What a container is made from; config is the image's own (OCI)."""

    id: str
    name: str
    rootfs: Path
    size_bytes: int
    config: Object


class ImageUnavailable(Exception):
    """The image cannot be used: reason is ErrImageNeverPull or ErrImagePull."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class ImageStore:
    """Reads what the loader registered for a node; a load is seen at the next look."""

    def __init__(self, layout: Layout, node: str) -> None:
        self._images, self._index = layout.images, layout.node(node) / "images.json"

    def all(self) -> list[Image]:
        """List the images on this node."""
        try:
            index: dict[str, str] = json.loads(self._index.read_text())
        except FileNotFoundError:
            return []
        return [self._read(name, digest) for name, digest in sorted(index.items())]

    def require(self, reference: str, policy: str) -> Image:
        """Find the image of a container.

        Raises:
            ImageUnavailable: It is not here, or the pull policy wants one from a registry.
        """
        name = full_name(reference)
        found = next((image for image in self.all() if image.name == name), None)
        if found is not None and policy != "Always":
            return found
        if policy != "Never":
            raise ImageUnavailable("ErrImagePull", _no_network(name))
        message = f'Container image "{reference}" is not present with pull policy of Never'
        raise ImageUnavailable("ErrImageNeverPull", message)

    def _read(self, name: str, digest: str) -> Image:
        folder = self._images / digest
        described = json.loads((folder / "config.json").read_text())
        size_bytes, config = described["size_bytes"], described["config"]
        return Image(described["id"], full_name(name), folder / "rootfs", size_bytes, config)


def full_name(reference: str) -> str:
    """Spell an image out: `worker:1` is `docker.io/library/worker:1`."""
    path, slash, last = reference.rpartition("/")
    if ":" not in last and "@" not in last:
        reference += ":latest"
    if not slash:
        return f"docker.io/library/{reference}"
    first = path.split("/")[0]
    is_host = "." in first or ":" in first or first == "localhost"
    return reference if is_host else f"docker.io/{reference}"


def _no_network(name: str) -> str:
    host, _, rest = name.partition("/")
    repository, _, tag = rest.rpartition(":")
    registry = "registry-1.docker.io" if host == "docker.io" else host
    url = f"https://{registry}/v2/{repository}/manifests/{tag}"
    return (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
        f'failed to do request: Head "{url}": dial tcp: lookup {registry}: no such host'
    )
