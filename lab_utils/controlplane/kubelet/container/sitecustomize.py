"""What every Python of a container imports first: the pod's names, addresses and volumes.

Without root a container has neither a network nor a file system of its own. Python asks for both
through functions that can be replaced, and here they are: this plays a pod's resolv.conf, hosts
file and mount table, and its node's iptables rules. A name is looked up, and a connection to a
clusterIP turned to the Service proxy, at the moment it is asked for, so nothing is ever stale.
Imports nothing of the lab. Not seen by other languages, by libraries that resolve or connect in C,
and by an interpreter that is told to leave its environment alone (-I, -E, -S).
"""

import os
import socket
from collections.abc import Callable
from typing import Any

POD = "LAB_POD_FILE"
"""Environment variable: the file in which the kubelet says what is this pod's (sandbox.py)."""
MOUNTS = "LAB_MOUNTS"
"""Environment variable: `mountPath=folder` of each volume, separated by newlines."""
_open, _stat = open, os.stat  # as they are: what is read here is in no volume of the pod's
_REFUSED = 111  # ECONNREFUSED of Linux
_CLUSTER_DOMAINS = (".cluster.local", ".svc")
_LONGEST_ALIAS_CHAIN = 8
_ONE_PATH = (
    *("access", "chdir", "chmod", "listdir", "lstat", "mkdir", "open", "readlink", "remove"),
    *("rmdir", "scandir", "stat", "truncate", "unlink", "utime"),
)
_TWO_PATHS = ("link", "rename", "replace", "symlink")


class Names:
    """Answers from the pod's own file and from the table of all Services, read anew if changed."""

    def __init__(self, pod_file: str) -> None:
        self._pod_file = pod_file
        self._pod: dict[str, Any] = {}
        self._table: dict[str, Any] = {"names": {}, "doors": {}}
        self._version: object = None

    def addresses_of(self, host: object) -> list[str] | None:
        """Give the addresses of a name; None if it is not the cluster's to know.

        Raises:
            gaierror: It is a name of the cluster's, and nobody has it.
        """
        if not host or not isinstance(host, str | bytes):
            return None
        name = (host.decode() if isinstance(host, bytes) else host).lower()
        self._refresh()
        found = self._look_up(name)
        for _ in range(_LONGEST_ALIAS_CHAIN):  # of ExternalNames
            if not found or found[0][-1].isdigit():
                break
            name = found[0]
            found = self._look_up(f"{name}.") or [name]
        if found == [] or (found is None and name.rstrip(".").endswith(_CLUSTER_DOMAINS)):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return _turned(found) if found else None

    def door_of(self, host: str, port: int) -> tuple[str, int] | None:
        """Tell where a connection to an address really goes; None if just there.

        Raises:
            ConnectionRefusedError: It is a clusterIP without such a port, or without a ready pod.
        """
        self._refresh()
        if not host.startswith(self._pod["service_prefix"]):
            return None
        local_port = self._table["doors"].get(f"{host}:{port}")
        if not local_port:
            raise ConnectionRefusedError(_REFUSED, "Connection refused")
        return "127.0.0.1", local_port

    def _look_up(self, name: str) -> list[str] | None:
        """Search as a resolver does with `ndots:5`: the cluster's domains go before the name."""
        if name in self._pod["hosts"]:
            return [self._pod["hosts"][name]]
        candidates = [name.rstrip(".")]
        if not name.endswith("."):
            candidates = [f"{name}.{domain}" for domain in self._pod["search"]] + candidates
        known = self._table["names"] if self._pod["cluster_dns"] else {}
        return next((known[candidate] for candidate in candidates if candidate in known), None)

    def _refresh(self) -> None:
        if not self._pod:
            self._pod = _read(self._pod_file)
        try:
            status = _stat(self._pod["services"])
        except FileNotFoundError:  # there is no Service yet
            return
        version = status.st_ino, status.st_mtime_ns
        if version != self._version:  # the file is replaced as a whole, never written to
            self._version, self._table = version, _read(self._pod["services"])


def _turned(addresses: list[str]) -> list[str]:
    """Begin somewhere else each time, so that connections spread over a headless Service."""
    first = os.urandom(1)[0] % len(addresses)
    return addresses[first:] + addresses[:first]


def _read(path: str) -> dict[str, Any]:
    import json  # only a container that asks for a name needs it

    with _open(path) as stream:
        found: dict[str, Any] = json.load(stream)
    return found


def install_names(names: Names) -> None:
    """Let this process ask here first."""
    ask, by_name, by_name_ex = socket.getaddrinfo, socket.gethostbyname, socket.gethostbyname_ex
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        found = names.addresses_of(host)
        if found is None:
            return ask(host, port, *args, **kwargs)
        return [info for one in found for info in ask(one, port, *args, **kwargs)]

    def gethostbyname(host: str) -> str:
        found = names.addresses_of(host)
        return by_name(found[0] if found else host)

    def gethostbyname_ex(host: str) -> tuple[str, list[str], list[str]]:
        found = names.addresses_of(host)
        return (host, [], found) if found else by_name_ex(host)

    def target(address: Any) -> Any:
        if not isinstance(address, tuple) or len(address) != 2 or not isinstance(address[0], str):
            return address
        host, port = (names.addresses_of(address[0]) or address)[0], address[1]
        return names.door_of(host, port) or (host, port)

    def connect_to(self: socket.socket, address: Any) -> None:
        connect(self, target(address))

    def connect_ex_to(self: socket.socket, address: Any) -> int:
        try:
            return connect_ex(self, target(address))
        except ConnectionRefusedError:
            return _REFUSED

    for function in (getaddrinfo, gethostbyname, gethostbyname_ex):
        setattr(socket, function.__name__, function)
    setattr(socket.socket, "connect", connect_to)  # noqa: B010 a method of a type
    setattr(socket.socket, "connect_ex", connect_ex_to)  # noqa: B010


def install_mounts(mounts: dict[str, str]) -> None:
    """Let this process find its volumes where they are mounted."""
    import builtins
    import io

    def local(path: Any) -> Any:
        if not isinstance(path, str | os.PathLike):
            return path
        text = os.fspath(path)
        for mount, folder in mounts.items():
            if text == mount or text.startswith(f"{mount}/"):
                return folder + text[len(mount) :]
        return path

    class Redirected:
        """Not a function, as what it replaces: it does not become a method of a class it is in."""

        def __init__(self, function: Callable[..., Any], paths: int) -> None:
            self._function, self._paths = function, paths

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            paths, rest = args[: self._paths], args[self._paths :]
            return self._function(*map(local, paths), *rest, **kwargs)

    for name in _ONE_PATH:
        setattr(os, name, Redirected(getattr(os, name), 1))
    for name in _TWO_PATHS:
        setattr(os, name, Redirected(getattr(os, name), 2))
    builtins.open = io.open = Redirected(io.open, 1)


if POD in os.environ:
    install_names(Names(os.environ[POD]))
if MOUNTS in os.environ:
    install_mounts(dict(line.split("=", 1) for line in os.environ[MOUNTS].split("\n")))
