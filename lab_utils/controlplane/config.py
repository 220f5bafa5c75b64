"""What every process of one embedded cluster must agree on: its settings and its files.

Written once by the launcher, read by the control plane and the kubelets. Holds no secret: tokens
and keys are files of their own.
"""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

RUN_MARK = "LAB_CLUSTER_RUN"
"""Environment variable that every process of a cluster carries: what to sweep when it has gone."""
NODE_MARK = "LAB_CLUSTER_NODE"
"""Environment variable of a kubelet and its containers: `<run id>/<node>`."""

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
DEFAULT_TOLERATIONS_S = {NOT_READY: 300, UNREACHABLE: 300}
"""How long a pod that says nothing about it stays on a node with one of these taints."""
API_CLUSTER_IP = "10.96.0.1"
API_NAMES = (
    API_CLUSTER_IP,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
"""What pods call the API server."""
ADMIN = "kubernetes-admin"
API_SERVER = "kube-apiserver"


@dataclass(frozen=True)
class NodeConfig:
    """One node: index 1 is the first; its address is 127.<octet>.<index>.1."""

    name: str
    index: int
    control_plane: bool = False
    labels: dict[str, str] = field(default_factory=dict)

    def address(self, octet: int) -> str:
        """Give its address in the network of a cluster."""
        return f"127.{octet}.{self.index}.1"


@dataclass(frozen=True)
class ClusterConfig:
    """Settings of one embedded cluster; times in seconds as a real cluster of 1.36 has them."""

    name: str
    run_id: str
    nodes: tuple[NodeConfig, ...]
    host_ports: dict[int, int]
    """nodePort -> loopback port wanted, 0 for any; a port not named here gets its own number."""
    node_monitor_period_s: float = 5.0
    node_monitor_grace_period_s: float = 50.0
    node_lease_duration_s: float = 40.0
    node_status_update_s: float = 10.0
    default_tolerations_s: dict[str, int] = field(default_factory=DEFAULT_TOLERATIONS_S.copy)
    metrics_resolution_s: float = 15.0
    hpa_sync_period_s: float = 15.0
    hpa_downscale_stabilization_s: float = 300.0
    hpa_cpu_initialization_s: float = 300.0
    hpa_initial_readiness_s: float = 30.0
    hpa_tolerance: float = 0.1
    idle_stop_s: float = 4 * 3600.0
    max_pods: int = 110

    @property
    def node_lease_renew_s(self) -> float:
        """Tell how often a kubelet renews its Lease: four times in its duration."""
        return self.node_lease_duration_s / 4

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> "ClusterConfig":
        """Read what save() wrote, be it of another version: settings unknown here are left out."""
        known = {setting.name for setting in fields(cls)}
        saved = json.loads(path.read_text())
        raw: dict[str, Any] = {name: value for name, value in saved.items() if name in known}
        raw["nodes"] = tuple(NodeConfig(**node) for node in raw["nodes"])
        raw["host_ports"] = {int(node): host for node, host in raw["host_ports"].items()}
        return cls(**raw)


@dataclass(frozen=True)
class Layout:
    """Where the files of one cluster are; root is a 0700 folder of the user."""

    root: Path

    @property
    def config(self) -> Path:
        """The ClusterConfig."""
        return self.root / "config.json"

    @property
    def endpoint(self) -> Path:
        """Written when the API server listens: see endpoint.py."""
        return self.root / "endpoint.json"

    @property
    def kubeconfig(self) -> Path:
        """What kubectl and the official client read."""
        return self.root / "kubeconfig"

    @property
    def ca(self) -> Path:
        """The cluster's CA certificate (PEM)."""
        return self.root / "pki" / "ca.pem"

    @property
    def server_certificate(self) -> Path:
        """Key and chain of the API server and of every kubelet (PEM): 127.0.0.1 and node names."""
        return self.root / "pki" / "server.pem"

    @property
    def tokens(self) -> Path:
        """JSON, token -> user name: the admin, each kubelet, and the API server as a client."""
        return self.root / "pki" / "tokens.json"

    @property
    def images(self) -> Path:
        """Content-addressed images: <hex digest>/config.json and <hex digest>/rootfs/."""
        return self.root / "images"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops the cluster."""
        return self.root / "lock"

    @property
    def services(self) -> Path:
        """What names and ports of Services lead to: written by the Service proxy for containers."""
        return self.root / "services.json"

    @property
    def log(self) -> Path:
        """What the guard and the control plane have to say."""
        return self.root / "control-plane.log"

    @property
    def nodes(self) -> Path:
        """Folder of the nodes' folders."""
        return self.root / "nodes"

    def node(self, name: str) -> Path:
        """Folder of one node: kubelet.log, images.json, pods/."""
        return self.nodes / name

    def token_of(self, user: str) -> str:
        """Find the token of ADMIN, API_SERVER or "system:node:NAME"."""
        tokens: dict[str, str] = json.loads(self.tokens.read_text())
        return next(token for token, name in tokens.items() if name == user)


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace a file as a whole or not at all, readable by its owner only."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        os.replace(partial, path)
    except OSError:  # no space left: what was there stays, and nothing half-written with it
        partial.unlink(missing_ok=True)
        raise
