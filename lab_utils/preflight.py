"""Preflight: what this machine has, judged, each finding with its remedy.

A check is a pure function of what was measured, so that every verdict can be tested; measuring is
in `examine`, which only looks: it installs nothing and changes nothing.
"""

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab_utils.backends.base import Backend
from lab_utils.backends.choose import choose
from lab_utils.backends.engine import Engine, probe
from lab_utils.backends.topology import NODE_PORTS
from lab_utils.errors import LabError
from lab_utils.settings import Settings, state_root
from lab_utils.units import format_mebibytes

Status = Literal["ok", "warn", "fail"]
_KUBERNETES_MINOR = 36
_MEBIBYTE = 2**20
_INFERENCE = {
    "metadata": {"namespace": "lab", "name": "inference"},
    "spec": {"type": "NodePort", "ports": [{"nodePort": NODE_PORTS[0]}]},
}
_INOTIFY = Path("/proc/sys/fs/inotify")


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, the verdict, what was found, and what to do about it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Check]:
    """Look at this machine and judge it for the lab.

    Args:
        settings: Which backend, port and folder are meant.

    Returns:
        The checks that matter for the backend that would be taken, most basic first.
    """
    engine, kind = probe(), shutil.which("kind")
    needed = settings.backend == "kind"
    backend, chosen = _choice(settings)
    checks = [
        chosen,
        judge_python(sys.version_info[:3]),
        judge_memory(_available_memory()),
        judge_addresses(_unbindable(["127.0.0.1", "127.200.1.1"])),
        judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        _state_folder(settings),
        _port(settings, backend),
        judge_engine(engine, needed=needed),
        judge_kind(kind, needed=needed),
        judge_kubectl(_kubectl_version()),
    ]
    if backend is not None and backend.name == "kind" and _INOTIFY.is_dir():
        limits = [int((_INOTIFY / f"max_user_{n}").read_text()) for n in ("instances", "watches")]
        checks.append(judge_inotify(*limits))
    return checks


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


def judge_engine(engine: Engine, *, needed: bool) -> Check:
    """Docker is needed for Kind only."""
    if not engine.problem:
        return Check("Docker engine", "ok", engine.version)
    return Check("Docker engine", "fail" if needed else "ok", engine.problem, _unneeded(needed))


def judge_kind(binary: str | None, *, needed: bool) -> Check:
    """Kind is found on the PATH."""
    if binary:
        return Check("kind", "ok", binary)
    remedy = "Install it: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    return Check("kind", "fail" if needed else "ok", "not on the PATH", _unneeded(needed, remedy))


def _unneeded(needed: bool, remedy: str = "") -> str:
    return remedy if needed else "Not needed: the embedded cluster does without."


def judge_kubectl(version: str | None) -> Check:
    """Kubectl is a comfort; it may be one minor version away from the cluster."""
    if version is None:
        return Check("kubectl", "ok", "not on the PATH", "Not needed: the lab does without.")
    minor = "".join(filter(str.isdigit, version.split(".")[1])) if version.count(".") else ""
    if minor and abs(int(minor) - _KUBERNETES_MINOR) <= 1:
        return Check("kubectl", "ok", version)
    remedy = f"Its tables may differ; 1.{_KUBERNETES_MINOR} is what the lab's clusters speak."
    return Check("kubectl", "warn", version, remedy)


def judge_port(port: int, *, free: bool, ours: bool, demanded: bool) -> Check:
    """The Service's port on this machine is free, or already the lab's."""
    name = f"port {port}"
    if ours or free:
        return Check(name, "ok", "the lab's own" if ours else "free")
    if demanded:
        remedy = "End what uses it, or set LAB_HTTP_PORT to a free port."
        return Check(name, "fail", "used by another program", remedy)
    return Check(name, "ok", "used by another program", "Not needed: another port is taken.")


def judge_inotify(instances: int, watches: int) -> Check:
    """Three nodes with systemd and a kubelet each use up small limits ("too many open files")."""
    found = f"max_user_instances {instances}, max_user_watches {watches}"
    if instances >= 512 and watches >= 524288:
        return Check("inotify", "ok", found)
    remedy = (
        "sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288 "
        "(https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files)"
    )
    return Check("inotify", "warn", found, remedy)


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


def _port(settings: Settings, backend: Backend | None) -> Check:
    port = settings.http_port or NODE_PORTS[0]
    ours = False
    try:
        if backend is not None and backend.is_running():
            ours = backend.service_url(_INFERENCE).endswith(f":{port}")
    except LabError:
        pass  # it runs, but has no such Service: then the port is not ours
    demanded = settings.http_port is not None or (backend is not None and backend.name == "kind")
    free = not _unbindable(["127.0.0.1"], port)
    return judge_port(port, free=free, ours=ours, demanded=demanded)


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
