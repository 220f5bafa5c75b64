"""The cluster that needs nothing but Python: background processes of this user on loopback.

Starts, finds and ends `lab_utils.controlplane`, builds images for it from the same Dockerfile that
Docker would read, and switches its nodes. Never opens a port to another machine.
"""

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab_utils.backends.admin_client import AdminClient
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
from lab_utils.backends.image_store import ImageStore
from lab_utils.backends.kubeadm import read_knobs
from lab_utils.backends.rootfs import Assembly, Tree
from lab_utils.backends.topology import host_ports, node_specs, read_cluster_file, require_free
from lab_utils.controlplane import launch
from lab_utils.controlplane.config import ClusterConfig, Layout, NodeConfig, write_atomically
from lab_utils.controlplane.endpoint import Endpoint
from lab_utils.dockerfile import parse
from lab_utils.errors import (
    BackendUnavailable,
    ClusterError,
    ClusterNotRunning,
    ImageError,
    InvalidInput,
)
from lab_utils.settings import Settings, cluster_file, cluster_root, show_path
from lab_utils.waiting import wait_for

_PORT_WITHIN_S = 5.0


class EmbeddedBackend:
    """One embedded cluster, named by the settings.

    Args:
        settings: Name, state folder and, if it has to be a certain one, the HTTP port.
    """

    name = "embedded"
    namespace = NAMESPACE

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._layout = Layout(cluster_root(settings, self.name))
        self._images = ImageStore(self._layout.images)

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig file."""
        return self._layout.kubeconfig

    def intent(self) -> str:
        """Give nothing: the cluster is the learner's own, on this machine."""
        return ""

    def start(self, progress: Progress) -> None:
        """Attach to the cluster, or start it."""
        if sys.platform != "linux":
            raise BackendUnavailable(
                f"The embedded cluster needs Linux, and this is {sys.platform}: each of its pods "
                "has a loopback address of its own. Use Kind, or Linux in WSL 2 or elsewhere."
            )
        config, ignored = self._config()
        if not self.is_running():
            require_free(config.host_ports.values())
            for setting in ignored:
                progress(f"Not done by the embedded cluster: {setting}")
        launch.start(self._layout.root, config, progress)

    def stop(self) -> None:
        """End the cluster; built images stay, as they stay in Docker when Kind's cluster goes."""
        launch.stop(self._layout.root)
        self._images.sweep()

    def is_running(self) -> bool:
        """Tell whether the control plane's process is alive."""
        return launch.find(self._layout.root) is not None

    def describe(self) -> dict[str, Any]:
        """Give what a report should say about the cluster."""
        endpoint = launch.find(self._layout.root)
        return {
            "backend": self.name,
            "cluster": self._settings.cluster,
            "server": endpoint and f"https://127.0.0.1:{endpoint.port}",
            "network": endpoint and f"127.{endpoint.octet}.0.0/16",
            "nodes": [node.name for node in self._config()[0].nodes],
        }

    def build_image(self, build: Build, progress: Progress) -> Image:
        """Build an image without Docker: the same content is the same image."""
        where = show_path(build.dockerfile)
        try:
            stages = parse(build.dockerfile.read_text(), where, build.arguments)
            tree = Tree.of_context(build.context, build.dockerfile)
            with self._images.scratch() as scratch:
                rootfs = Assembly(where, tree, scratch, progress).build(stages)
                image = self._images.add(rootfs, stages[-1], build.tag, build.content_tag)
        except OSError as exc:
            raise ImageError(
                f"Building {build.tag} from {where} failed: {exc.strerror}: {exc.filename}."
            ) from exc
        progress(f"Built {build.tag} ({image.digest[:19]})")
        return image

    def load_image(self, tag: str, progress: Progress) -> None:
        """Register a built image, under all its names, on every node, off or on."""
        self._endpoint()
        names = self._images.names(tag)
        if not names:
            raise ImageError(
                f"Loading {tag} into cluster {self._settings.cluster!r}: no image of that name is "
                f"built. Build it first: lab.build_image({tag!r})."
            )
        for node in ClusterConfig.load(self._layout.config).nodes:
            if self._register(node.name, names):
                progress(f"Loaded {tag} into {node.name}")

    def _register(self, node: str, names: dict[str, str]) -> bool:
        """Write the node's list of images, which its kubelet reads; False if all were there."""
        path = self._layout.node(node) / "images.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        loaded = json.loads(path.read_text()) if path.exists() else {}
        if names.items() <= loaded.items():
            return False
        write_atomically(path, json.dumps(loaded | names, indent=1))
        return True

    def adapt(self, obj: Object) -> Object:
        """Give the object as it is: the manifests are written for the lab's own clusters."""
        return obj

    def export_logs(self, folder: Path, progress: Progress) -> None:
        """Copy what the control plane, the kubelets and the containers have logged."""
        for log in self._layout.root.rglob("*.log"):
            target = folder / log.relative_to(self._layout.root)
            progress(str(log.relative_to(self._layout.root)))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, target)

    def service_url(self, service: Object) -> str:
        """Give the loopback address that serves a nodePort; waits shortly for a new Service."""
        node_port = node_port_of(service)
        client = AdminClient(self._layout, self._endpoint())
        late = ClusterError(
            f"Cluster {self._settings.cluster!r} serves no nodePort {node_port}. "
            "Create the Service first: lab.apply()."
        )

        def look() -> int | None:
            ports = client.call(f"Finding nodePort {node_port}", "GET", "/lab/ports")
            return ports.get(str(node_port))  # type: ignore[no-any-return]

        port = wait_for(look, timeout_s=_PORT_WITHIN_S, late=lambda: late, period_s=0.05)
        return f"http://127.0.0.1:{port}"

    def stop_node(self, name: str) -> None:
        """Kill the node's kubelet and every process of its pods."""
        self._operate("Stopping", name, "stop")

    def pause_node(self, name: str) -> None:
        """Freeze the node's kubelet and every process of its pods."""
        self._operate("Pausing", name, "pause")

    def unpause_node(self, name: str) -> None:
        """Thaw the node."""
        self._operate("Unpausing", name, "unpause")

    def start_node(self, name: str) -> None:
        """Bring the node back to running, whether it was stopped or paused."""
        self._operate("Starting", name, "start")

    def _operate(self, action: str, node: str, operation: str) -> None:
        client = AdminClient(self._layout, self._endpoint())
        path = f"/lab/nodes/{quote(node, safe='')}/{operation}"
        client.call(f"{action} node {node}", "POST", path)

    def signal_container(self, namespace: str, pod: str, container: str, signal: str) -> None:
        """Have the pod's kubelet send a signal to the container's process."""
        if signal not in SIGNALS:
            raise InvalidInput(f"Cannot send {signal!r}: want one of {', '.join(SIGNALS)}.")
        client = AdminClient(self._layout, self._endpoint())
        action = f"Sending {signal} to {namespace}/{pod} {container}"
        names = [quote(name, safe="") for name in (namespace, pod, container)]
        found = client.call(action, "GET", f"/api/v1/namespaces/{names[0]}/pods/{names[1]}")
        node = found["spec"].get("nodeName")
        if not node:
            raise ClusterError(f"{action}: the pod is on no node yet. Wait for it: lab.wait().")
        kubelet = f"/api/v1/nodes/{quote(node, safe='')}/proxy"
        client.call(action, "POST", f"{kubelet}/lab/signal/{'/'.join(names)}?signal={signal}")

    def fidelity(self) -> list[Fidelity]:
        """Say what is real and what is emulated."""
        return list(FIDELITY)

    def _endpoint(self) -> Endpoint:
        endpoint = launch.find(self._layout.root)
        if endpoint is None:
            raise ClusterNotRunning(
                f"Cluster {self._settings.cluster!r} (embedded) is not running. "
                "Start it: lab.up() in a notebook, `lab up` in a terminal."
            )
        return endpoint

    def _config(self) -> tuple[ClusterConfig, tuple[str, ...]]:
        """Give what the cluster file asks for, and what of it the cluster does not know."""
        path = cluster_file(self._settings)
        content = read_cluster_file(path)
        nodes = tuple(
            NodeConfig(spec.name, index, spec.control_plane, spec.labels)
            for index, spec in enumerate(node_specs(content, self._settings.cluster), start=1)
        )
        wanted = self._settings.http_port
        config = ClusterConfig(
            name=self._settings.cluster,
            run_id=secrets.token_hex(8),
            nodes=nodes,
            host_ports={} if wanted is None else host_ports(wanted),
        )
        knobs = read_knobs(content, show_path(path))
        return knobs.apply_to(config), knobs.ignored


FIDELITY = (
    Fidelity("API server", False, "the lab's own, for the resources it serves: same wire format"),
    Fidelity("controllers and scheduler", False, "the lab's own, by Kubernetes' documented rules"),
    Fidelity("nodes", False, "one kubelet process each, on this machine"),
    Fidelity("containers", True, "real processes running the same worker; no isolation from you"),
    Fidelity("image", False, "built from the same Dockerfile; libraries are this environment's"),
    Fidelity("probes, back-off, termination", True, "measured and acted on as a kubelet does"),
    Fidelity("HTTP through the Service", True, "TCP on loopback, an endpoint per connection"),
    Fidelity(
        "names and clusterIPs", False, "inside a container: in its Python, not in other programs"
    ),
    Fidelity(
        "volumes", False, "folders of this machine; at their mountPaths for a container's Python"
    ),
    Fidelity("NetworkPolicy", False, "stored, not enforced"),
    Fidelity(
        "memory limit",
        False,
        "size is watched, killed when over it; with a delegated cgroup v2 by the kernel",
    ),
    Fidelity("pod addresses", True, "each pod has an address of its own in 127.0.0.0/8"),
    Fidelity(
        "CPU limit",
        False,
        "SIGSTOP once its share of 100 ms is used up; with a delegated cgroup v2 by the kernel",
    ),
)
