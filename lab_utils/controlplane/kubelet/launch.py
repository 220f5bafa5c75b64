"""From a container's spec to what the runtime needs: image, environment, command, folders."""

import os
import sys
from pathlib import Path

from lab_utils.controlplane.config import NODE_MARK, RUN_MARK
from lab_utils.controlplane.kubelet.env import ConfigError, Sources, build_env, expand
from lab_utils.controlplane.kubelet.images import Image
from lab_utils.controlplane.kubelet.resources import limits_of
from lab_utils.controlplane.kubelet.runtime import Launch
from lab_utils.controlplane.kubelet.volumes import PathMap
from lab_utils.controlplane.status import Object

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_launch(
    pod: Object, container: Object, image: Image, sources: Sources, folder: Path, restart: int
) -> Launch:
    """Put together everything a container starts with.

    Args:
        pod: The pod.
        container: One of its containers.
        image: The container's image.
        sources: What its environment refers to.
        folder: The pod's folder on this machine.
        restart: How often the container was started before; names its log.

    Raises:
        ConfigError: Something it refers to is not there, or it would run as root against its word.
    """
    check_user(pod, container, image)
    own = folder / "containers" / container["name"]
    own.mkdir(parents=True, exist_ok=True)
    paths = PathMap.of(container, image.rootfs, folder / "volumes")
    env = _image_env(image) | build_env(pod, container, sources)
    argv = [paths.resolve(expand(part, env)) for part in _command(container, image)]
    if not argv:
        raise ConfigError("no command specified")
    log_path(folder, container["name"], restart - 2).unlink(missing_ok=True)  # --previous is one
    cwd = container.get("workingDir") or image.working_dir
    return Launch(
        argv=tuple(argv),
        env={name: paths.resolve(value) for name, value in env.items()} | _host_env(pod, env, own),
        cwd=image.rootfs / cwd.lstrip("/"),
        folder=own,
        log=log_path(folder, container["name"], restart),
        limits=limits_of(container),
    )


def log_path(folder: Path, container: str, restart: int) -> Path:
    """Tell where one run of a container is logged."""
    return folder / "containers" / container / f"{restart}.log"


def user_id(pod: Object, container: Object, image: Image) -> int | None:
    """Tell as whom a container would run; None when the image names a user by word."""
    for context in (container.get("securityContext"), pod["spec"].get("securityContext")):
        if context and "runAsUser" in context:
            return int(context["runAsUser"])
    user = str(image.config.get("User") or "0").partition(":")[0]
    return int(user) if user.isdecimal() else None


def check_user(pod: Object, container: Object, image: Image) -> None:
    """Hold a container to runAsNonRoot.

    Raises:
        ConfigError: It would run as root, or nobody can tell.
    """
    contexts = (pod["spec"].get("securityContext"), container.get("securityContext"))
    merged = {key: value for context in contexts for key, value in (context or {}).items()}
    uid = user_id(pod, container, image)
    if not merged.get("runAsNonRoot") or (uid is not None and uid > 0):
        return
    metadata = pod["metadata"]
    where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    suffix = f'(pod: "{where}", container: {container["name"]})'
    if "runAsUser" in merged:
        raise ConfigError(f"container's runAsUser breaks non-root policy {suffix}")
    if uid is None:
        user = image.config["User"]
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({user}), "
            f"cannot verify user is non-root {suffix}"
        )
    raise ConfigError(f"container has runAsNonRoot and image will run as root {suffix}")


def _command(container: Object, image: Image) -> list[str]:
    """Let command replace the image's Entrypoint and Cmd, and args its Cmd."""
    command, arguments = container.get("command") or [], container.get("args") or []
    if command:
        return [*command, *arguments]
    return [
        *(image.config.get("Entrypoint") or []),
        *(arguments or image.config.get("Cmd") or []),
    ]


def _image_env(image: Image) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in image.config.get("Env") or [])
    return {name: value for name, _, value in pairs}


def _host_env(pod: Object, env: dict[str, str], home: Path) -> dict[str, str]:
    """Give what every container has, and the marks by which its processes are found.

    `python` is the lab's own interpreter, which has the libraries that an image would bring.
    """
    marks = {name: os.environ[name] for name in (RUN_MARK, NODE_MARK) if name in os.environ}
    interpreter = str(Path(sys.executable).parent)
    return marks | {
        "PATH": f"{interpreter}:{env.get('PATH', _PATH)}",
        "HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"],
        "HOME": env.get("HOME", str(home)),
    }
