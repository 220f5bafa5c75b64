"""Images by a Docker engine: built with its log told as it comes, pushed to a registry.

Never leaves the engine's word untested: a build counts only if the log ends with the image's id, a
push only if it ends with the digest.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lab_utils.backends.base import Build, Image, Progress
from lab_utils.backends.remedies import explain
from lab_utils.errors import ImageError

if TYPE_CHECKING:
    from docker import DockerClient

_LAST_WORDS = 15
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
Log = Iterable[Mapping[str, Any]]


def build(client: "DockerClient", wanted: Build, progress: Progress) -> Image:
    """Build an image with Docker, telling each line of its log, and give it its names.

    Raises:
        ImageError: The build failed; Docker's own reason, and a remedy where one is known.
    """
    log = client.api.build(
        path=str(wanted.context),
        dockerfile=str(wanted.dockerfile),
        tag=wanted.tag,
        buildargs=dict(wanted.arguments),
        rm=True,
        forcerm=True,
        decode=True,
    )
    image = client.images.get(follow_build(log, wanted.tag, progress))
    if wanted.content_tag:
        repository, _, version = wanted.content_tag.rpartition(":")
        image.tag(repository, version)
    return Image(wanted.tag, str(image.id), int(image.attrs["Size"]), wanted.content_tag)


def follow_build(log: Log, tag: str, progress: Progress) -> str:
    """Tell each line of a build's log.

    Returns:
        The id of the image that was built.

    Raises:
        ImageError: The log says that the build failed, or stops before its end.
    """
    identity, rest, words = "", "", deque[str](maxlen=_LAST_WORDS)
    for entry in log:
        *lines, rest = (rest + _text_of(entry)).split("\n")  # an entry may end within a line
        for line in filter(None, map(str.strip, lines)):
            words.append(line)
            progress(line)
        if "error" in entry:
            # Docker says only which command failed; why is in what the command wrote before.
            raise ImageError(f"Building {tag} failed: {_reason(entry['error'], [*words, rest])}.")
        identity = (entry.get("aux") or {}).get("ID", identity)
    if not identity:
        raise ImageError(
            f"Building {tag}: the Docker engine stopped in the middle of it. "
            "Look with `docker info`, then build again: finished steps are kept."
        )
    return identity


def _text_of(entry: Mapping[str, Any]) -> str:
    if "status" in entry:  # of a base image that is pulled
        return f"{entry['status']} {entry.get('id', '')}\n"
    return _COLOURS.sub("", str(entry.get("stream", "")))


def _reason(error: object, words: Iterable[str]) -> str:
    said = [line for line in words if line.lower().startswith("error")]
    return explain("\n".join([*said, f"error: {error}"]))


def push(client: "DockerClient", tag: str, reference: str, progress: Progress) -> str:
    """Push an image to a registry under another name.

    Args:
        client: The engine that has it.
        tag: Its name there.
        reference: The name to push it by, with the registry's host.
        progress: Told each layer.

    Returns:
        The reference with the digest that the registry gave: nobody can change what it means.

    Raises:
        ImageError: The engine has no such image, or the registry refused it.
    """
    repository, _, version = reference.rpartition(":")
    find(client, tag, f"Pushing {tag}").tag(repository, version)
    digest, layers = "", set[str]()
    for entry in client.api.push(repository, tag=version, stream=True, decode=True):
        if "error" in entry:
            raise ImageError(f"Pushing {reference} failed: {explain(str(entry['error']))}.")
        if (layer := str(entry.get("id", ""))) and layer not in layers:
            layers.add(layer)
            progress(f"Pushing layer {layer}")
        digest = (entry.get("aux") or {}).get("Digest", digest)
    if not digest:
        raise ImageError(f"Pushing {reference}: the Docker engine stopped in the middle of it.")
    return f"{reference}@{digest}"


def find(client: "DockerClient", tag: str, action: str) -> Any:
    """Find an image of the engine.

    Raises:
        ImageError: It has none of this name.
    """
    from docker.errors import ImageNotFound

    try:
        return client.images.get(tag)
    except ImageNotFound as exc:
        raise ImageError(
            f"{action}: Docker has no image of that name. Build it first: lab.build_image({tag!r})."
        ) from exc
