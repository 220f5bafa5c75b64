"""What Kind needs of a machine, judged: each finding with its remedy.

Pure functions of what was measured. `auto` takes Kind only where none of them fails; `lab doctor`
shows them all. Source: https://kind.sigs.k8s.io/docs/user/known-issues/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab_utils.backends.engine import Engine
from lab_utils.units import format_mebibytes

Status = Literal["ok", "warn", "fail"]
KUBERNETES_MINOR = 36
"""Of the clusters that the lab is made for."""
_MEBIBYTE = 2**20
_KNOWN_ISSUES = "https://kind.sigs.k8s.io/docs/user/known-issues/"
_ARCHITECTURES = {"x86_64", "amd64", "aarch64", "arm64"}
# What the system's own pods of three Kind nodes ask for, and what the control plane really uses.
_SYSTEM_CORES, _SYSTEM_BYTES = 1.15, 600 * _MEBIBYTE


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, the verdict, what was found, and what to do about it."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def judge_all(engine: Engine, kind: str | None, docker: str | None) -> list[Check]:
    """Judge a machine for Kind.

    Args:
        engine: What the engine said of itself, or why it did not.
        kind: Where the `kind` command is; None: nowhere.
        docker: Where the `docker` command is; None: nowhere.

    Returns:
        The checks, most basic first; those of the engine only if it answers.
    """
    checks = [judge_kind(kind), judge_docker(docker), judge_engine(engine)]
    if engine.problem:
        return checks
    about = engine.about
    return [
        *checks,
        judge_architecture(str(about.get("Architecture", ""))),
        judge_capacity(int(about.get("NCPU", 0)), int(about.get("MemTotal", 0))),
        judge_cgroups(str(about.get("CgroupVersion", "1"))),
        judge_image_store(about.get("DriverStatus") or ()),
        judge_options(about.get("SecurityOptions") or ()),
    ]


def judge_kind(binary: str | None) -> Check:
    """Kind is found on the PATH."""
    if binary:
        return Check("kind", "ok", binary)
    remedy = "Install it: https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
    return Check("kind", "fail", "There is no `kind` on the PATH.", remedy)


def judge_docker(binary: str | None) -> Check:
    """The `docker` command saves images; as a snap it sees neither /tmp nor other folders."""
    if binary is None:
        remedy = "Install Docker: https://docs.docker.com/engine/install/"
        return Check("docker command", "fail", "There is no `docker` on the PATH.", remedy)
    if "/snap/" in str(Path(binary).resolve()):
        remedy = "Install Docker's own packages: https://docs.docker.com/engine/install/"
        return Check("docker command", "warn", f"{binary} is a snap", remedy)
    return Check("docker command", "ok", binary)


def judge_engine(engine: Engine) -> Check:
    """The engine answers, with Linux containers."""
    if engine.problem:
        return Check("Docker engine", "fail", engine.problem, "Do that, then run this again.")
    return Check("Docker engine", "ok", engine.version)


def judge_architecture(architecture: str) -> Check:
    """Kind's node images are made for two architectures."""
    if architecture in _ARCHITECTURES:
        return Check("architecture", "ok", architecture)
    remedy = "There is no node image for it: use LAB_BACKEND=embedded."
    return Check("architecture", "fail", architecture or "unknown", remedy)


def judge_capacity(cores: int, memory_bytes: int) -> Check:
    """Three nodes, their system's pods and the lab's have to fit into what the engine has."""
    found = f"{cores} CPUs, {format_mebibytes(memory_bytes)}"
    found += f"; the cluster's pods ask for {_SYSTEM_CORES + 0.2:.2f} CPUs"
    remedy = "Give Docker 2 CPUs and 4 GiB (Docker Desktop: Settings, Resources)."
    if cores < 1 or memory_bytes < 3 * _SYSTEM_BYTES:
        return Check("Docker's capacity", "fail", found, remedy)
    enough = cores >= 2 and memory_bytes >= 3800 * _MEBIBYTE
    return Check("Docker's capacity", "ok" if enough else "warn", found, "" if enough else remedy)


def judge_cgroups(version: str) -> Check:
    """Newer kubelets are made for cgroup v2."""
    if version == "2":
        return Check("cgroups", "ok", "version 2")
    remedy = (
        "It works with the lab's node image; newer kubelets may refuse it. Version 2 comes with "
        "a newer system (WSL 2: kernelCommandLine=cgroup_no_v1=all in .wslconfig)."
    )
    return Check("cgroups", "warn", f"version {version}", remedy)


def judge_image_store(driver_status: Sequence[Sequence[str]]) -> Check:
    """Both stores are fine, because images go to the nodes as archives."""
    uses_containerd = any("io.containerd.snapshotter" in str(row) for row in driver_status)
    found = "containerd's" if uses_containerd else "Docker's own"
    return Check("image store", "ok", f"{found}; images are loaded as archives")


def judge_options(options: Sequence[str]) -> Check:
    """A rootless engine needs delegated cgroups."""
    if not any("rootless" in option for option in options):
        return Check("Docker's mode", "ok", "rootful")
    remedy = "Delegate cgroups to your user: https://kind.sigs.k8s.io/docs/user/rootless/"
    return Check("Docker's mode", "warn", "rootless", remedy)


def judge_inotify(instances: int, watches: int) -> Check:
    """Three nodes with systemd and a kubelet each use up small limits ("too many open files")."""
    found = f"max_user_instances {instances}, max_user_watches {watches}"
    if instances >= 512 and watches >= 524288:
        return Check("inotify", "ok", found)
    remedy = (
        "sudo sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288 "
        f"({_KNOWN_ISSUES}#pod-errors-due-to-too-many-open-files)"
    )
    return Check("inotify", "warn", found, remedy)


def judge_kubectl(version: str | None, minor: int = KUBERNETES_MINOR) -> Check:
    """Kubectl is a comfort; it may be one minor version away from the cluster."""
    if version is None:
        return Check("kubectl", "ok", "not on the PATH", "Not needed: the lab does without.")
    own = "".join(filter(str.isdigit, version.split(".")[1])) if version.count(".") else ""
    if own and abs(int(own) - minor) <= 1:
        return Check("kubectl", "ok", version)
    remedy = f"Its tables may differ: get 1.{minor}, which is what the cluster speaks."
    return Check("kubectl", "warn", version, remedy)


def judge_proxy(environ: Mapping[str, str]) -> Check:
    """A proxy must not come between this machine and itself."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    used = [n for n in names if environ.get(n) or environ.get(n.lower())]
    if not used:
        return Check("proxy", "ok", "none")
    around = (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",")
    if "*" in around or {"127.0.0.1", "localhost"} <= {one.strip() for one in around}:
        return Check("proxy", "ok", f"{', '.join(used)}, not for this machine itself")
    remedy = "export NO_PROXY=127.0.0.1,localhost,.svc,.cluster.local (and no_proxy)"
    return Check("proxy", "fail", f"{', '.join(used)} also for 127.0.0.1", remedy)
