"""Images for Kind: built by Docker, carried to the nodes as an archive, and seen to be there.

As an archive, because `kind load docker-image` breaks with Docker's containerd image store
(https://github.com/kubernetes-sigs/kind/issues/3795).
"""

import json
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab_utils.backends.base import Image, Progress
from lab_utils.backends.kind_cli import CommandFailed, explain, run
from lab_utils.backends.kind_nodes import find_nodes, full_reference, images_on
from lab_utils.errors import ImageError

if TYPE_CHECKING:
    from docker import DockerClient

_SAVE_WITH_PLATFORM = (1, 48)  # the API version with which `docker save --platform` came


def build(
    client: "DockerClient",
    context: Path,
    dockerfile: Path,
    tag: str,
    build_args: Mapping[str, str],
    progress: Progress,
) -> Image:
    """Build an image with Docker, telling each line of its log.

    Raises:
        ImageError: The build failed; Docker's own reason.
    """
    log = client.api.build(
        path=str(context),
        dockerfile=str(dockerfile),
        tag=tag,
        buildargs=dict(build_args),
        rm=True,
        forcerm=True,
        decode=True,
    )
    follow_build(log, tag, progress)
    image = client.images.get(tag)
    return Image(tag, str(image.id), int(image.attrs["Size"]))


def follow_build(log: Iterable[Mapping[str, Any]], tag: str, progress: Progress) -> None:
    """Tell each line of a build's log.

    Raises:
        ImageError: The log says that the build failed.
    """
    for entry in log:
        if "error" in entry:
            raise ImageError(f"Building {tag} failed: {explain(str(entry['error']))}.")
        for line in str(entry.get("stream", "")).splitlines():
            if line.strip():
                progress(line.strip())


def load(client: "DockerClient", cluster: str, tag: str, progress: Progress) -> None:
    """Bring an image to every node that does not have it.

    Raises:
        ImageError: There is no such image, or a node still lacks it afterwards.
    """
    from docker.errors import ImageNotFound

    try:
        image = client.images.get(tag)
    except ImageNotFound as exc:
        raise ImageError(
            f"Loading {tag} into cluster {cluster!r}: Docker has no image of that name. "
            f"Build it first: lab.build_image({tag!r})."
        ) from exc
    if not _lacking(client, cluster, tag, str(image.id)):
        return
    with tempfile.TemporaryDirectory(prefix="lab-image-") as folder:
        archive = Path(folder) / "image.tar"
        architecture = str(image.attrs["Architecture"])
        save = save_command(client.api.api_version, architecture, tag, archive)
        _carry(client, cluster, tag, [*save], archive, progress)


def _carry(
    client: "DockerClient",
    cluster: str,
    tag: str,
    save: list[str],
    archive: Path,
    progress: Progress,
) -> None:
    try:
        progress(f"Saving {tag}")
        run(save, progress)
        image_id = config_digest(archive)
        if not _lacking(client, cluster, tag, image_id):
            return
        progress(f"Loading {tag} into every node")
        run(["kind", "load", "image-archive", str(archive), "--name", cluster], progress)
    except CommandFailed as exc:
        raise ImageError(f"Loading {tag} into cluster {cluster!r} failed: {exc}.") from exc
    if lacking := _lacking(client, cluster, tag, image_id):
        raise ImageError(
            f"Loading {tag} into cluster {cluster!r}: after `kind load` it is still not on "
            f"{', '.join(lacking)}. Look with `docker exec {lacking[0]} crictl images`."
        )


def _lacking(client: "DockerClient", cluster: str, tag: str, image_id: str) -> list[str]:
    reference = full_reference(tag)
    nodes = find_nodes(client, cluster)
    return [name for name, node in nodes.items() if images_on(node).get(reference) != image_id]


def save_command(api_version: str, architecture: str, tag: str, archive: Path) -> list[str]:
    """Write the `docker save` command that this engine understands.

    With the containerd image store an image has several platforms, of which only ours was
    downloaded; older engines have one platform and do not know the option.
    """
    version = tuple(int(part) for part in api_version.split("."))
    platform = ["--platform", f"linux/{architecture}"] if version >= _SAVE_WITH_PLATFORM else []
    return ["docker", "save", *platform, "--output", str(archive), tag]


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
