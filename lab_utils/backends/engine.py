"""The Docker engine: is it there, and if not, why and what to do.

Looks where the `docker` command looks (DOCKER_HOST, else the current context). Knocks on a local
socket before the SDK does, because only the socket tells "not running" from "not allowed".
"""

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab_utils.errors import BackendUnavailable, ClusterError

if TYPE_CHECKING:
    from docker import DockerClient

_PROBE_TIMEOUT_S = 5
_CALL_TIMEOUT_S = 25
SILENT_WORK_S = 600
"""Time-out for a build or a push, which may be silent for minutes while it downloads."""
_START_IT = "Start Docker Desktop, or run `sudo systemctl start docker`"
_REMEDIES: dict[type[Exception], str] = {
    FileNotFoundError: f"no engine is running there. {_START_IT}",
    ConnectionRefusedError: f"nothing listens there. {_START_IT}",
    PermissionError: "you may not use it. Run `sudo usermod -aG docker $USER` and log in again",
    TimeoutError: "it does not answer. Restart Docker",
}
_SIGNS = {
    "timed out": _REMEDIES[TimeoutError],
    "RemoteDisconnected|IncompleteRead|Connection (?:aborted|broken)|InvalidChunk": (
        f"it went away in the middle of the work. {_START_IT}, then try again"
    ),
    "Is a directory|Not a directory": "it is no socket. Check DOCKER_HOST and `docker context ls`",
}


@dataclass(frozen=True)
class Engine:
    """What was found: a version when it answers, else the problem with its remedy.

    What it says about itself is in `about`, in the words of Docker's API (GET /info).
    """

    version: str = ""
    problem: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def probe() -> Engine:
    """Ask the engine for its version; never raises, and takes seconds at most."""
    try:
        with connect(timeout_s=_PROBE_TIMEOUT_S) as client:
            about = client.info()
    except (BackendUnavailable, ClusterError) as exc:
        return Engine(problem=str(exc))
    if about.get("OSType", "linux") != "linux":
        return Engine(
            problem="The Docker engine runs Windows containers. Switch it to Linux containers."
        )
    return Engine(version=str(about.get("ServerVersion", "unknown")), about=about)


@contextlib.contextmanager
def connect(*, timeout_s: int = _CALL_TIMEOUT_S) -> Iterator["DockerClient"]:
    """Give the Docker SDK's client.

    Args:
        timeout_s: How long one answer may take, in seconds.

    Raises:
        BackendUnavailable: The engine does not answer, or stopped to; says why and what to do.
        ClusterError: It answered no; says what it said.
    """
    import docker
    import requests
    import urllib3

    host = engine_host()
    try:
        _knock(host)
        client = docker.from_env(timeout=_PROBE_TIMEOUT_S)  # it asks for the version at once
        client.api.timeout = timeout_s
    except (docker.errors.DockerException, requests.RequestException, OSError) as exc:
        raise BackendUnavailable(_explain(host, exc)) from exc
    try:
        yield client
    except docker.errors.APIError as exc:
        raise ClusterError(f"The Docker engine refused: {exc.explanation or exc}.") from exc
    except (
        docker.errors.DockerException,
        requests.RequestException,
        urllib3.exceptions.HTTPError,  # out of the middle of a stream
    ) as exc:
        raise BackendUnavailable(_explain(host, exc)) from exc
    finally:
        client.close()


def engine_host() -> str:
    """Give the address the `docker` command would use."""
    import docker

    if host := os.environ.get("DOCKER_HOST"):
        return host
    context = docker.ContextAPI.kwargs_from_context(environment=os.environ)
    return str(context.get("base_url") or "unix:///var/run/docker.sock")


def _knock(host: str) -> None:
    scheme, _, path = host.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_PROBE_TIMEOUT_S)
            knocking.connect(path)


def _explain(host: str, exc: Exception) -> str:
    known = [remedy for kind, remedy in _REMEDIES.items() if isinstance(exc, kind)]
    known += [remedy for sign, remedy in _SIGNS.items() if re.search(sign, repr(exc))]
    reason = next(iter(known), f"{exc}. Look with `docker info` and `docker context ls`")
    return f"The Docker engine at {host} cannot be used: {reason}."
