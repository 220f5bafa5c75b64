"""Preflight: what this machine has, judged, each finding with its remedy.

A check is a pure function of what was measured, so that every verdict can be tested; measuring is
in `examine`, which only looks: it installs nothing and changes nothing.
"""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab_utils.backends.base import NAMESPACE, Backend, Object
from lab_utils.backends.choose import choose, look_for_kind
from lab_utils.backends.context import PREFIX
from lab_utils.backends.kind_needs import (
    KUBERNETES_MINOR,
    Check,
    Status,
    judge_inotify,
    judge_kubectl,
    judge_proxy,
)
from lab_utils.backends.topology import NODE_PORTS, host_ports
from lab_utils.backends.user_config import take_context
from lab_utils.controlplane import launch
from lab_utils.errors import LabError
from lab_utils.settings import Settings, state_root
from lab_utils.units import format_mebibytes

_MEBIBYTE = 2**20
_INOTIFY = Path("/proc/sys/fs/inotify")


def examine(settings: Settings) -> list[Check]:
    """Look at this machine and judge it for the lab.

    Args:
        settings: Which backend, port and folder are meant.

    Returns:
        The checks that matter for the backend that would be taken, most basic first.
    """
    backend, chosen = _choice(settings)
    checks = [
        chosen,
        judge_python(sys.version_info[:3]),
        judge_memory(_available_memory()),
        judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        judge_proxy(os.environ),
        _state_folder(settings),
        judge_leftovers(_leftovers(settings)),
        judge_kubectl(_kubectl_version(), _minor_of(settings.node_image)),
    ]
    if settings.backend.startswith(PREFIX):
        return [*checks, _context(settings)]
    checks += _port_checks(settings, backend)
    if settings.backend == "kind" or (backend is not None and backend.name == "kind"):
        return [*checks, *_for_kind()]
    unneeded = [_unneeded(check) for check in _for_kind()[:1]]
    return [*checks, judge_addresses(_unbindable(["127.0.0.1", "127.200.1.1"])), *unneeded]


def _for_kind() -> list[Check]:
    checks = look_for_kind()
    if _INOTIFY.is_dir():
        limits = [int((_INOTIFY / f"max_user_{n}").read_text()) for n in ("instances", "watches")]
        checks.append(judge_inotify(*limits))
    return checks


def _unneeded(check: Check) -> Check:
    return replace(check, status="ok", remedy="Not needed: the embedded cluster does without.")


def _minor_of(node_image: str | None) -> int:
    """Read the minor version of Kubernetes from a node image's tag."""
    found = re.search(r":v1\.(\d+)", node_image or "")
    return int(found[1]) if found else KUBERNETES_MINOR


def judge_python(version: Sequence[int]) -> Check:
    """Python 3.11 is the oldest the lab runs on."""
    text = ".".join(map(str, version))
    if tuple(version) >= (3, 11):
        return Check("Python", "ok", text)
    return Check("Python", "fail", text, "Install Python 3.11 or newer and make .venv anew.")


def judge_memory(available_bytes: int) -> Check:
    """The embedded cluster and the notebooks need about half a gibibyte."""
    found = f"{format_mebibytes(available_bytes)} available"
    if available_bytes >= 1024 * _MEBIBYTE:
        return Check("memory", "ok", found)
    status: Status = "warn" if available_bytes >= 512 * _MEBIBYTE else "fail"
    return Check("memory", status, found, "Close other programs: the lab wants 1 GiB.")


def judge_addresses(unbindable: Sequence[str]) -> Check:
    """Each pod of the embedded cluster has a loopback address of its own."""
    if not unbindable:
        return Check("loopback addresses", "ok", "127.0.0.0/8 can be used")
    found = f"cannot bind {', '.join(unbindable)}"
    remedy = (
        "On Linux: `sudo ip link set lo up`. Other systems have only 127.0.0.1: use Kind there."
    )
    return Check("loopback addresses", "fail", found, remedy)


def judge_open_files(limit: int) -> Check:
    """Each request in flight is an open file, in the load generator and in the proxy."""
    found = "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit}"
    if limit == resource.RLIM_INFINITY or limit >= 1024:
        return Check("open files", "ok", found)
    return Check("open files", "warn", found, "Before starting the lab: `ulimit -n 4096`.")


def judge_disk(free_bytes: int) -> Check:
    """Logs and images of the embedded cluster are small; a full disk breaks everything."""
    found = f"{format_mebibytes(free_bytes)} free for the lab's state"
    if free_bytes >= 500 * _MEBIBYTE:
        return Check("disk", "ok", found)
    status: Status = "warn" if free_bytes >= 100 * _MEBIBYTE else "fail"
    return Check("disk", status, found, "Free some space, or set LAB_STATE_DIR to another disk.")


def judge_leftovers(found: Sequence[str]) -> Check:
    """Clusters of earlier days take memory, and interrupted ones are in the way of new ones."""
    if not found:
        return Check("leftovers", "ok", "none")
    remedy = "If you no longer need them: `lab down --backend BACKEND --name NAME`"
    return Check("leftovers", "warn", "; ".join(found), remedy)


def judge_port(port: int, *, free: bool, ours: bool, demanded: bool) -> Check:
    """The Service's port on this machine is free, or already the lab's."""
    name = f"port {port}"
    if ours or free:
        return Check(name, "ok", "the lab's own" if ours else "free")
    if demanded:
        remedy = "End what uses it, or set LAB_HTTP_PORT to a free port."
        return Check(name, "fail", "used by another program", remedy)
    return Check(name, "ok", "used by another program", "Not needed: another port is taken.")


def _choice(settings: Settings) -> tuple[Backend | None, Check]:
    try:
        backend, reason = choose(settings)
    except LabError as exc:
        return None, Check("backend", "fail", str(exc))
    return backend, Check("backend", "ok", f"{backend.name}: {reason}")


def _state_folder(settings: Settings) -> Check:
    try:
        folder = state_root(settings)
    except LabError as exc:
        return Check("disk", "fail", str(exc))
    return judge_disk(shutil.disk_usage(folder).free)


def _context(settings: Settings) -> Check:
    try:
        (cluster,) = take_context(settings.backend.removeprefix(PREFIX))["clusters"]
    except LabError as exc:
        return Check("context", "fail", str(exc), "Choose one of `kubectl config get-contexts`.")
    return Check("context", "ok", str(cluster["cluster"].get("server")))


def _leftovers(settings: Settings) -> list[str]:
    """Name what other clusters of the lab have left here: those that run, and halves."""
    try:
        root = state_root(settings)
    except LabError:
        return []
    others = [f for f in root.glob("embedded/*") if f.name != settings.cluster]
    running = [f"cluster {f.name!r} (embedded) runs" for f in others if launch.find(f)]
    notes = [f for f in root.glob("kind/*/made.json") if f.parent.name != settings.cluster]
    return running + [f"cluster {f.parent.name!r} (kind) was made" for f in notes]


def _port_checks(settings: Settings, backend: Backend | None) -> list[Check]:
    demanded = settings.http_port is not None or (backend is not None and backend.name == "kind")
    ours = _served(backend)
    return [
        judge_port(
            port,
            free=not _unbindable(["127.0.0.1"], port),
            ours=port in ours,
            demanded=demanded,
        )
        for port in host_ports(settings.http_port or NODE_PORTS[0]).values()
    ]


def _served(backend: Backend | None) -> set[int]:
    """Give the ports of this machine on which the lab's cluster serves its Services."""
    ports = set[int]()
    try:
        if backend is not None and backend.is_running():
            for node_port in NODE_PORTS:
                ports.add(int(backend.service_url(_service(node_port)).rpartition(":")[2]))
    except LabError:
        pass  # it runs, but has no such Services: then the ports are not ours
    return ports


def _service(node_port: int) -> Object:
    metadata = {"namespace": NAMESPACE, "name": "inference"}
    return {"metadata": metadata, "spec": {"type": "NodePort", "ports": [{"nodePort": node_port}]}}


def _unbindable(addresses: Sequence[str], port: int = 0) -> list[str]:
    failed = []
    for address in addresses:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((address, port))
            except OSError:
                failed.append(address)
    return failed


def _available_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


def _kubectl_version() -> str | None:
    """Ask kubectl for its own version; None if there is none to ask."""
    command = ["kubectl", "version", "--client", "--output=json"]
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, env=env, check=True)
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return None
