"""The nodes a cluster has, as `manifests/kind-cluster.yaml` says; both backends read it here.

Source: https://kind.sigs.k8s.io/docs/user/configuration/
"""

import copy
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab_utils.errors import ManifestError, PortBusy
from lab_utils.settings import show_path
from lab_utils.yaml_source import parse

NODE_PORTS = (30080, 30081, 30082)
"""nodePorts published on this machine: Services inference, inference-primary, inference-backup."""


@dataclass(frozen=True)
class NodeSpec:
    """One node as Kind would name it."""

    name: str
    control_plane: bool
    labels: dict[str, str] = field(default_factory=dict)


def read_cluster_file(path: Path) -> dict[str, Any]:
    """Read a Kind cluster configuration.

    Raises:
        ManifestError: It is not one.
    """
    try:
        documents = parse(path.read_bytes(), show_path(path))
    except OSError as exc:
        raise ManifestError(f"Cannot read {show_path(path)}: {exc.strerror}.") from exc
    content = documents[0].value if documents else None
    if not isinstance(content, dict) or content.get("kind") != "Cluster":
        raise ManifestError(f"{show_path(path)} is no Kind configuration: want `kind: Cluster`.")
    return content


def node_specs(content: dict[str, Any], cluster: str) -> list[NodeSpec]:
    """Name the nodes of a configuration as Kind does: lab-worker, lab-worker2, ..."""
    counts: dict[str, int] = {}
    specs = []
    for node in content.get("nodes") or [{"role": "control-plane"}]:
        role = node.get("role", "control-plane")
        counts[role] = counts.get(role, 0) + 1
        number = "" if counts[role] == 1 else str(counts[role])
        name = f"{cluster}-{role}{number}"
        specs.append(NodeSpec(name, role == "control-plane", dict(node.get("labels") or {})))
    return specs


def host_ports(first: int) -> dict[int, int]:
    """Give the ports of this machine, from the first on, by the nodePorts they lead to."""
    return {node_port: first + i for i, node_port in enumerate(NODE_PORTS)}


def require_free(ports: Iterable[int]) -> None:
    """See that nobody listens on these ports of 127.0.0.1.

    Raises:
        PortBusy: Somebody does; says on which.
    """
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as exc:
                raise PortBusy(
                    f"Port {port} of 127.0.0.1 cannot be used for the lab's Services: "
                    f"{exc.strerror}. End what uses it, or set LAB_HTTP_PORT to a free port."
                ) from exc


def with_host_ports(content: dict[str, Any], first: int) -> dict[str, Any]:
    """Copy a configuration with NODE_PORTS published from a first port on, on loopback only.

    Docker's default address, 0.0.0.0, would show the cluster to the whole network.
    """
    changed = copy.deepcopy(content)
    nodes = changed.setdefault("nodes", [{"role": "control-plane"}])
    for node in nodes:
        mappings = node.pop("extraPortMappings", [])
        if others := [one for one in mappings if one.get("containerPort") not in NODE_PORTS]:
            node["extraPortMappings"] = others
    nodes[0].setdefault("extraPortMappings", []).extend(
        {
            "containerPort": node_port,
            "hostPort": host_port,
            "listenAddress": "127.0.0.1",
            "protocol": "TCP",
        }
        for node_port, host_port in host_ports(first).items()
    )
    return changed


def published_port(content: dict[str, Any], node_port: int) -> int | None:
    """Find the port of this machine that a configuration publishes a nodePort on."""
    for node in content.get("nodes") or ():
        for mapping in node.get("extraPortMappings") or ():
            if mapping.get("containerPort") == node_port:
                return int(mapping["hostPort"])
    return None
