"""Images: build the lab's own and load it into the cluster, whichever backend it is on.

Hides where the Dockerfile is and what it is built with. Never takes part in a registry: what is not
loaded is not there.
"""

import hashlib
import os
import re
from dataclasses import replace

from lab_utils.backends import Backend, Build, Image, Progress
from lab_utils.backends.rootfs import Tree
from lab_utils.errors import InvalidInput
from lab_utils.settings import Settings, project_root

WORKER, LOAD = "inference-worker:1", "inference-load:1"
"""The images of the manifests; the second is built on the first."""
# https://pkg.go.dev/github.com/distribution/reference: lower-case path, then a tag
_REFERENCE = re.compile(
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::[0-9]+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})"
)


def build(backend: Backend, settings: Settings, tag: str, progress: Progress) -> Image:
    """Build an image of the lab: the load generator's if it is called so, else the worker's.

    Args:
        backend: Where the image is needed.
        settings: Says the worker's base image.
        tag: Its name, such as WORKER.
        progress: Told in one line what is being done.

    Returns:
        The image; its digest is that of its content, so building again gives the same.

    Raises:
        InvalidInput: The tag cannot be used.
        ImageError: The build failed; says where and why.
    """
    return backend.build_image(recipe(settings, tag), progress)


def recipe(settings: Settings, tag: str) -> Build:
    """Say what an image of the lab is built from.

    Raises:
        InvalidInput: The tag cannot be used.
    """
    check_tag(tag)
    if tag == LOAD:
        context, base = project_root() / "lab_utils", WORKER
        dockerfile = context / "loadgen" / "Dockerfile"
    else:
        context, base = project_root() / "worker", settings.base_image
        dockerfile = context / "Dockerfile"
    wanted = Build(context, dockerfile, tag, {"BASE_IMAGE": base})
    return replace(wanted, content_tag=f"{tag}-{content_hash(wanted)}")


def content_hash(wanted: Build) -> str:
    """Give twelve hex digits that follow from all that goes into an image: files and arguments."""
    total = hashlib.sha256(repr(sorted(wanted.arguments.items())).encode())
    tree = Tree.of_context(wanted.context, wanted.dockerfile)
    for path in [wanted.dockerfile, *(wanted.context / name for name in tree.paths)]:
        if path.is_file():
            total.update(f"\0{os.path.relpath(path, wanted.context)}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def load(backend: Backend, tag: str, progress: Progress) -> None:
    """Load a built image into every node of the cluster; a second time does nothing.

    Raises:
        InvalidInput: The tag cannot be used.
        ImageError: It is not built, or did not arrive.
        ClusterNotRunning: There is no cluster to load it into.
    """
    check_tag(tag)
    backend.load_image(tag, progress)


def check_tag(tag: str) -> None:
    """Refuse an image name that would not do in the lab.

    Raises:
        InvalidInput: It has no tag, is :latest, or is no image name; says why.
    """
    match = _REFERENCE.fullmatch(tag)
    if match is None:
        raise InvalidInput(
            f"{tag!r} is no image name with a tag: want lower-case letters, digits and . _ - / "
            "followed by a tag, such as 'inference-worker:1'."
        )
    if match["tag"] == "latest":
        raise InvalidInput(
            f"{tag!r}: Kubernetes pulls :latest from a registry at every start, so a loaded image "
            "would never be used. Give it a version, such as 'inference-worker:1'."
        )
