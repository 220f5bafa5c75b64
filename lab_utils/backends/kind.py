"""Kubernetes in Docker: the `kind` command for the cluster, Docker for images and power switches.

Uses `kind` and `docker` as they are on the PATH and downloads nothing itself. Has its own
kubeconfig file and never touches `~/.kube`. Never touches a cluster that the lab did not make.
"""

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from lab_utils.backends import docker_build, kind_images
from lab_utils.backends.base import (
    NAMESPACE,
    SIGNALS,
    Build,
    Fidelity,
    Image,
    Object,
    Progress,
    node_port_of,
)
from lab_utils.backends.engine import SILENT_WORK_S, connect
from lab_utils.backends.kind_cli import CommandFailed, run
from lab_utils.backends.kind_nodes import (
    ROLE_LABEL,
    bring_up,
    find_node,
    find_nodes,
    signal_on,
)
from lab_utils.backends.topology import (
    NODE_PORTS,
    host_ports,
    published_port,
    read_cluster_file,
    require_free,
    with_host_ports,
)
from lab_utils.controlplane.config import write_atomically
from lab_utils.errors import ClusterError, InvalidInput, NotFound
from lab_utils.settings import Settings, cluster_file, cluster_root

Verdict = Literal["create", "attach", "half-made", "foreign"]


@dataclass(frozen=True)
class Made:
    """The lab's note of a cluster it makes: its nodes' container ids, none before it is done."""

    node_ids: tuple[str, ...] = ()

    def save(self, path: Path) -> None:
        """Write the note."""
        write_atomically(path, json.dumps({"node_ids": self.node_ids}))

    @classmethod
    def read(cls, path: Path) -> "Made | None":
        """Read what save() wrote; None when there is no note."""
        try:
            return cls(tuple(json.loads(path.read_text())["node_ids"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def judge(node_ids: set[str], made: Made | None) -> Verdict:
    """Decide what to do about a cluster's name.

    Args:
        node_ids: Ids of the containers Docker has with the cluster's label.
        made: The lab's note of that name.

    Returns:
        What may be done: a note without ids is of a creation that was interrupted, or still runs;
        ids that are not in the note belong to a cluster that somebody else made since.
    """
    if not node_ids:
        return "create"
    if made is None or (made.node_ids and not node_ids <= set(made.node_ids)):
        return "foreign"
    return "attach" if made.node_ids else "half-made"


class KindBackend:
    """One Kind cluster, named by the settings.

    Args:
        settings: Name, node image, HTTP port, state folder.
    """

    name = "kind"
    namespace = NAMESPACE

    def __init__(self, settings: Settings) -> None:
        self._settings, self._cluster = settings, settings.cluster
        self._root = cluster_root(settings, self.name)
        self._config, self._note = self._root / "kind-cluster.yaml", self._root / "made.json"

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig file."""
        return self._root / "kubeconfig"

    def intent(self) -> str:
        """Give nothing: the cluster is the learner's own, on this machine."""
        return ""

    def start(self, progress: Progress) -> None:
        """Attach to the cluster, or create it."""
        with connect() as client:
            nodes = find_nodes(client, self._cluster)
            verdict = judge({str(node.id) for node in nodes.values()}, Made.read(self._note))
            if verdict == "create":
                self._create(progress)
                made = find_nodes(client, self._cluster).values()
                Made(tuple(str(node.id) for node in made)).save(self._note)
                return
        self._refuse_unless_ours(verdict)
        if verdict == "half-made":
            raise ClusterError(
                f"Kind cluster {self._cluster!r} is half made: another process is making it, or "
                "was interrupted. Wait for it, or remove it with lab.down()."
            )
        for name, node in nodes.items():
            if node.status != "running":
                progress(f"Node {name} is {node.status}: lab.ensure() starts it")

    def _create(self, progress: Progress) -> None:
        content = read_cluster_file(cluster_file(self._settings))
        first = self._settings.http_port or published_port(content, NODE_PORTS[0]) or NODE_PORTS[0]
        require_free(host_ports(first).values())
        cluster_root(self._settings, self.name)  # stop() has removed it
        write_atomically(self._config, yaml.safe_dump(with_host_ports(content, first)))
        Made().save(self._note)
        image = ["--image", self._settings.node_image] if self._settings.node_image else []
        command = ["kind", "create", "cluster", "--name", self._cluster]
        command += ["--config", str(self._config), "--kubeconfig", str(self.kubeconfig), *image]
        try:
            run(command, progress)
        except BaseException as exc:  # an interrupt too: nothing half-made is left
            with contextlib.suppress(CommandFailed):
                self._remove(progress)
            if not isinstance(exc, CommandFailed):
                raise
            raise ClusterError(f"Kind could not create {self._cluster!r}: {exc}.") from exc

    def stop(self) -> None:
        """Delete the cluster, if the lab made it."""
        with connect() as client:
            nodes = find_nodes(client, self._cluster).values()
            verdict = judge({str(node.id) for node in nodes}, Made.read(self._note))
        self._refuse_unless_ours(verdict)
        if verdict == "create":
            shutil.rmtree(self._root, ignore_errors=True)
            return
        try:
            self._remove(lambda line: None)
        except CommandFailed as exc:
            raise ClusterError(f"Kind could not delete {self._cluster!r}: {exc}.") from exc

    def _remove(self, progress: Progress) -> None:
        command = ["kind", "delete", "cluster", "--name", self._cluster]
        run([*command, "--kubeconfig", str(self.kubeconfig)], progress)
        shutil.rmtree(self._root, ignore_errors=True)

    def _refuse_unless_ours(self, verdict: Verdict) -> None:
        if verdict == "foreign":
            raise ClusterError(
                f"There is a Kind cluster {self._cluster!r} that the lab did not make, so it will "
                "not touch it. Choose another name with LAB_CLUSTER, or delete it yourself: "
                f"kind delete cluster --name {self._cluster}"
            )

    def is_running(self) -> bool:
        """Tell whether the lab's cluster is there with its control plane switched on."""
        with connect() as client:
            nodes = find_nodes(client, self._cluster).values()
            ids = {str(node.id) for node in nodes}
            on = {node.labels.get(ROLE_LABEL) for node in nodes if node.status == "running"}
        return judge(ids, Made.read(self._note)) == "attach" and "control-plane" in on

    def describe(self) -> dict[str, Any]:
        """Give what a report should say about the cluster."""
        with connect() as client:
            nodes = find_nodes(client, self._cluster)
            images = sorted({str(node.attrs["Config"]["Image"]) for node in nodes.values()})
            version = str(client.version()["Version"])
        about = {"cluster": self._cluster, "docker": version, "node_image": ", ".join(images)}
        return {"backend": self.name, **about, "nodes": list(nodes)}

    def build_image(self, build: Build, progress: Progress) -> Image:
        """Build an image with Docker."""
        with connect(timeout_s=SILENT_WORK_S) as client:
            return docker_build.build(client, build, progress)

    def load_image(self, tag: str, progress: Progress) -> None:
        """Load a built image into every node."""
        with connect() as client:
            kind_images.load(client, self._cluster, tag, progress)

    def adapt(self, obj: Object) -> Object:
        """Give the object as it is: the manifests are written for the lab's own clusters."""
        return obj

    def export_logs(self, folder: Path, progress: Progress) -> None:
        """Write what the nodes and their containers have logged into a folder, by `kind`."""
        try:
            run(["kind", "export", "logs", str(folder), "--name", self._cluster], progress)
        except CommandFailed as exc:
            raise ClusterError(f"Kind could not export the logs: {exc}.") from exc

    def service_url(self, service: Object) -> str:
        """Give the loopback address that a nodePort was published on when the cluster was made."""
        node_port = node_port_of(service)
        port = published_port(read_cluster_file(self._config), node_port)
        if port is None:
            raise NotFound(
                f"Kind cluster {self._cluster!r} publishes the nodePorts {NODE_PORTS}, not "
                f"{node_port}: add it to manifests/kind-cluster.yaml and make the cluster anew."
            )
        return f"http://127.0.0.1:{port}"

    def stop_node(self, name: str) -> None:
        """Cut the power of a node."""
        with connect() as client:
            # No grace period: a clean shutdown would let the kubelet say goodbye.
            find_node(client, self._cluster, name).stop(timeout=0)

    def pause_node(self, name: str) -> None:
        """Freeze a node."""
        with connect() as client:
            node = find_node(client, self._cluster, name)
            if node.status == "running":
                node.pause()

    def unpause_node(self, name: str) -> None:
        """Thaw a node."""
        with connect() as client:
            node = find_node(client, self._cluster, name)
            if node.status == "paused":
                node.unpause()

    def start_node(self, name: str) -> None:
        """Bring a node back to running, whether it was stopped or paused."""
        with connect() as client:
            bring_up(find_node(client, self._cluster, name))

    def signal_container(self, namespace: str, pod: str, container: str, signal: str) -> None:
        """Send a signal to the container's main process from the node it runs on."""
        if signal not in SIGNALS:
            raise InvalidInput(f"Cannot send {signal!r}: want one of {', '.join(SIGNALS)}.")
        with connect() as client:
            nodes = find_nodes(client, self._cluster).values()
            running = [node for node in nodes if node.status == "running"]
            if not any(signal_on(node, namespace, pod, container, signal) for node in running):
                raise NotFound(
                    f"Sending {signal} to {namespace}/{pod}: no running container {container!r} of "
                    "it on any node. Look with lab.get('pods')."
                )

    def fidelity(self) -> list[Fidelity]:
        """Say what is real and what is emulated."""
        return _FIDELITY


_FIDELITY = [
    Fidelity("API server", True, "kube-apiserver and etcd"),
    Fidelity("controllers and scheduler", True, "kube-controller-manager, kube-scheduler"),
    Fidelity("nodes", False, "Docker containers on one machine, each with a real kubelet"),
    Fidelity("containers", True, "containerd and runc"),
    Fidelity("image", True, "built by Docker, loaded into every node"),
    Fidelity("probes, back-off, termination", True, "the kubelet's"),
    Fidelity("HTTP through the Service", True, "NodePort by kube-proxy, published on loopback"),
    Fidelity("NetworkPolicy", True, "kindnet, in the versions of Kind that enforce it"),
    Fidelity("memory limit", True, "the kernel's cgroups"),
    Fidelity("pod addresses", True, "a pod network of Kind's"),
    Fidelity("CPU limit", True, "the kernel's CFS quota"),
]
