"""From a container's spec to what the runtime needs: image, environment, command, folders."""

import os
import sys
from pathlib import Path

from lab_utils.controlplane.config import NODE_MARK, RUN_MARK
from lab_utils.controlplane.kubelet.cgroup import Limits
from lab_utils.controlplane.kubelet.env import ConfigError, Sources, build_env, expand
from lab_utils.controlplane.kubelet.images import Image
from lab_utils.controlplane.kubelet.runtime import Launch
from lab_utils.controlplane.kubelet.sandbox import sandbox_env
from lab_utils.controlplane.kubelet.volumes import local_path, mounts_of
from lab_utils.controlplane.status import Object
from lab_utils.units import parse_bytes, parse_cores

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_launch(
    pod: Object, container: Object, image: Image, sources: Sources, folder: Path, restart: int
) -> Launch:
    """Put together everything a container starts with; folder is the pod's on this machine.

    Raises:
        ConfigError: Something it refers to is not there, or it would run as root against its word.
    """
    check_user(pod, container, image)
    own = folder / "containers" / container["name"]
    own.mkdir(parents=True, exist_ok=True)
    log_path(folder, container["name"], restart - 2).unlink(missing_ok=True)  # --previous is one
    image_env = (pair.partition("=") for pair in image.config.get("Env") or [])
    env = {name: value for name, _, value in image_env} | build_env(pod, container, sources)
    argv = [expand(part, env) for part in _command(container, image)]
    if not argv:
        raise ConfigError("no command specified")
    mounts = mounts_of(container, folder / "volumes")

    def localize(text: str) -> str:
        return local_path(text, mounts, image.rootfs)

    local = {name: localize(value) for name, value in env.items()}
    local |= sandbox_env(folder, mounts, local)
    cwd = container.get("workingDir") or image.config.get("WorkingDir") or "/"
    return Launch(
        image=image.name,
        argv=tuple(map(localize, argv)),
        env=local | _host_env(pod, env, own),
        cwd=image.rootfs / cwd.lstrip("/"),
        folder=own,
        log=log_path(folder, container["name"], restart),
        limits=_limits(container),
        address=sources.pod_ip,
        ports={p["name"]: p["containerPort"] for p in container.get("ports", []) if "name" in p},
        localize=localize,
        stdin=container.get("stdin", False),
        tty=container.get("tty", False),
    )


def log_path(folder: Path, container: str, restart: int) -> Path:
    """Tell where one run of a container is logged."""
    return folder / "containers" / container / f"{restart}.log"


def user_id(pod: Object, container: Object, image: Image) -> int | None:
    """Tell as whom a container would run; None when the image names a user by word."""
    user = str(image.config.get("User") or "0").partition(":")[0]
    user = _security(pod, container).get("runAsUser", user)
    return int(user) if str(user).isdecimal() else None


def check_user(pod: Object, container: Object, image: Image) -> None:
    """Hold a container to runAsNonRoot.

    Raises:
        ConfigError: It would run as root, or nobody can tell.
    """
    security, uid = _security(pod, container), user_id(pod, container, image)
    if uid or not security.get("runAsNonRoot"):
        return
    if "runAsUser" in security:
        why = "container's runAsUser breaks non-root policy"
    elif uid is None:
        why = (
            f"container has runAsNonRoot and image has non-numeric user ({image.config['User']}), "
            "cannot verify user is non-root"
        )
    else:
        why = "container has runAsNonRoot and image will run as root"
    metadata = pod["metadata"]
    where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
    raise ConfigError(f'{why} (pod: "{where}", container: {container["name"]})')


def _security(pod: Object, container: Object) -> Object:
    """Merge the security contexts: the container's word goes before the pod's."""
    return {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}


def _limits(container: Object) -> Limits:
    limits = container.get("resources", {}).get("limits", {})
    return Limits(
        cores=parse_cores(limits["cpu"]) if "cpu" in limits else None,
        memory_bytes=parse_bytes(limits["memory"]) if "memory" in limits else None,
    )


def _command(container: Object, image: Image) -> list[str]:
    """Let command replace the image's Entrypoint and Cmd, and args its Cmd."""
    command, arguments = container.get("command") or [], container.get("args") or []
    if not command:
        command = image.config.get("Entrypoint") or []
        arguments = arguments or image.config.get("Cmd") or []
    return [*command, *arguments]


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
