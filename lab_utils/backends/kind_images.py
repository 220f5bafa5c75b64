"""Images for Kind: carried to the nodes as an archive, and seen to be there.

As an archive, because `kind load docker-image` breaks with Docker's containerd image store
(https://github.com/kubernetes-sigs/kind/issues/3795).
"""

import json
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lab_utils.backends.base import Progress
from lab_utils.backends.docker_build import find
from lab_utils.backends.kind_cli import CommandFailed, run
from lab_utils.backends.kind_nodes import find_nodes, full_reference, images_on
from lab_utils.errors import ImageError

if TYPE_CHECKING:
    from docker import DockerClient

_SAVE_WITH_PLATFORM = (1, 48)  # the API version with which `docker save --platform` came


def load(client: "DockerClient", cluster: str, tag: str, progress: Progress) -> None:
    """Bring an image, under all its names, to every node that does not have it.

    Raises:
        ImageError: There is no such image, or a node still lacks it afterwards.
    """
    image = find(client, tag, f"Loading {tag} into cluster {cluster!r}")
    repository = tag.rpartition(":")[0]
    tags = sorted(name for name in image.tags if name.rpartition(":")[0] == repository)
    if not _lacking(client, cluster, tags, str(image.id)):
        return
    with tempfile.TemporaryDirectory(prefix="lab-image-") as folder:
        archive = Path(folder) / "image.tar"
        architecture = str(image.attrs["Architecture"])
        try:
            progress(f"Saving {tag}")
            run(save_command(client.api.api_version, architecture, tags, archive), progress)
            image_id = config_digest(archive)
            if not _lacking(client, cluster, tags, image_id):
                return
            progress(f"Loading {tag} into every node")
            run(["kind", "load", "image-archive", str(archive), "--name", cluster], progress)
        except CommandFailed as exc:
            raise ImageError(f"Loading {tag} into cluster {cluster!r} failed: {exc}.") from exc
    if lacking := _lacking(client, cluster, tags, image_id):
        raise ImageError(
            f"Loading {tag} into cluster {cluster!r}: after `kind load` it is still not on "
            f"{', '.join(lacking)}. Look with `docker exec {lacking[0]} crictl images`."
        )


def _lacking(client: "DockerClient", cluster: str, tags: Iterable[str], image_id: str) -> list[str]:
    wanted = {full_reference(tag): image_id for tag in tags}
    nodes = find_nodes(client, cluster)
    return [name for name, node in nodes.items() if not wanted.items() <= images_on(node).items()]


def save_command(
    api_version: str, architecture: str, tags: Iterable[str], archive: Path
) -> list[str]:
    """Write the `docker save` command that this engine understands.

    With the containerd image store an image has several platforms, of which only ours was
    downloaded; older engines have one platform and do not know the option.
    """
    version = tuple(int(part) for part in api_version.split("."))
    platform = ["--platform", f"linux/{architecture}"] if version >= _SAVE_WITH_PLATFORM else []
    return ["docker", "save", *platform, "--output", str(archive), *tags]


def config_digest(archive: Path) -> str:
    """Read the image id that nodes will know an archived image by.

    Raises:
        ImageError: The file is not an image archive.
    """
    try:
        with tarfile.open(archive) as content:
            manifest = content.extractfile("manifest.json")
            config = json.loads(manifest.read())[0]["Config"] if manifest else ""
    except (OSError, tarfile.TarError, KeyError, ValueError, IndexError) as exc:
        raise ImageError(f"`docker save` wrote no image archive that can be read: {exc}.") from exc
    return "sha256:" + Path(config).name.removesuffix(".json")
