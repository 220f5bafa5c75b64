"""Any cluster that a kubeconfig names: used only when asked for by name, left as it was found.

The lab has a namespace of its own there, labels all it makes and removes just that. It is a guest:
machines are not its own, so it neither switches them nor sends signals to processes.
"""

import contextlib
import hashlib
import json
import secrets
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from lab_utils.api import Api
from lab_utils.backends import docker_build
from lab_utils.backends.adaptation import MANAGED_BY, OWNER_LABEL, adapt
from lab_utils.backends.base import Build, Fidelity, Image, Object, Progress
from lab_utils.backends.engine import SILENT_WORK_S, connect
from lab_utils.backends.kind_nodes import full_reference
from lab_utils.backends.reach import ServiceProxy, find_address
from lab_utils.backends.user_config import take_context
from lab_utils.cluster import Cluster
from lab_utils.controlplane.config import write_atomically
from lab_utils.errors import (
    BackendUnavailable,
    ClusterError,
    ImageError,
    NotFound,
    NotReady,
)
from lab_utils.settings import Settings, cluster_root
from lab_utils.waiting import wait_for

PREFIX = "context:"
_REMOVED_WITHIN_S = 120.0
_ANSWER_S = 5.0
_REPORTED_S = 15.0  # kubelets report every 10 s
_MOST_IMAGES_REPORTED = 50  # the kubelet's nodeStatusMaxImages


class ContextBackend:
    """The lab as a guest on somebody's cluster; the namespace is named by the settings.

    Args:
        settings: The context, the namespace's name (LAB_CLUSTER), the registry, the state folder.
    """

    def __init__(self, settings: Settings) -> None:
        self.name = settings.backend
        self.namespace = settings.cluster
        self._context = settings.backend.removeprefix(PREFIX)
        self._settings = settings
        self._folder = "context-" + hashlib.sha256(self._context.encode()).hexdigest()[:12]
        self._root = cluster_root(settings, self._folder)
        self._note = self._root / "made.json"
        self._proxies: dict[str, ServiceProxy] = {}

    @property
    def kubeconfig(self) -> Path:
        """The lab's own copy of the context."""
        return self._root / "kubeconfig"

    @cached_property
    def _cluster(self) -> Cluster:
        return Cluster(Api(self.kubeconfig), self.namespace)

    def start(self, progress: Progress) -> None:
        """Take the context over into a file of the lab's own, and see that the lab is welcome."""
        taken = take_context(self._context)
        is_new = not self.kubeconfig.exists()
        cluster_root(self._settings, self._folder)  # stop() has removed it
        write_atomically(self.kubeconfig, json.dumps(taken))
        self.__dict__.pop("_cluster", None)  # another address, other keys
        progress(self.intent())
        try:
            self._refuse_unless_ours()
        except BaseException:
            if is_new:
                shutil.rmtree(self._root, ignore_errors=True)
            raise
        if not self._made():
            self._remember(owner=secrets.token_hex(4))

    def intent(self) -> str:
        """Say in one sentence what the lab would make, and where."""
        try:
            (cluster,) = take_context(self._context)["clusters"]
            server = cluster["cluster"].get("server", "")
        except BackendUnavailable:
            server = "unknown"
        images = f", images in {self._settings.registry}" if self._settings.registry else ""
        return (
            f"On the cluster of context {self._context} ({server}): namespace {self.namespace} "
            f"with two Deployments and their Services{images}; lab.down() removes them"
        )

    def _refuse_unless_ours(self) -> None:
        try:
            found = self._cluster.api.read("namespace", None, self.namespace)
        except NotFound:
            return
        labels = found["metadata"].get("labels") or {}
        owner = self._made().get("owner")
        if owner is None or labels.get(OWNER_LABEL) != owner:
            who = "another lab" if MANAGED_BY.items() <= labels.items() else "somebody else"
            raise ClusterError(
                f"Context {self._context}: namespace {self.namespace} is there already and "
                f"{who} made it, so the lab will not touch it. Choose another name with "
                f"LAB_CLUSTER, or delete it yourself: kubectl --context {self._context} delete "
                f"namespace {self.namespace}"
            )

    def stop(self) -> None:
        """Remove everything that carries the lab's label; the cluster stays."""
        if not self.kubeconfig.exists():
            return
        if owner := self._made().get("owner"):
            self._remove(f"{OWNER_LABEL}={owner}")
        shutil.rmtree(self._root, ignore_errors=True)

    def _remove(self, selector: str) -> None:
        cluster, own = self._cluster, f"/namespaces/{self.namespace}/"
        for node in cluster.nodes_cordoned():
            cluster.uncordon(node)
        for path in cluster.api.find(selector):
            if own not in path:  # what is in the namespace goes with it
                with contextlib.suppress(NotFound):  # its owner went first
                    cluster.api.request(f"Deleting {path}", "DELETE", path)

        def gone() -> bool | None:
            return None if cluster.api.list("namespaces", None, selector) else True

        late = NotReady(
            f"Namespace {self.namespace} of context {self._context} is still being deleted after "
            f"{_REMOVED_WITHIN_S:.0f} s. Call lab.down() again, or look with kubectl."
        )
        wait_for(gone, timeout_s=_REMOVED_WITHIN_S, late=lambda: late)

    def is_running(self) -> bool:
        """Tell whether the lab has moved in, and the cluster answers."""
        if not self.kubeconfig.exists():
            return False
        try:
            self._cluster.api.request("Looking", "GET", "/version", timeout_s=_ANSWER_S)
        except ClusterError:
            return False
        return True

    def describe(self) -> dict[str, Any]:
        """Give what a report should say about the cluster; none of its nodes are the lab's."""
        about = {"cluster": self._context, "namespace": self.namespace}
        return {"backend": self.name, **about, "registry": self._settings.registry, "nodes": []}

    def build_image(self, build: Build, progress: Progress) -> Image:
        """Build an image with Docker, to be pushed; without a registry there is nothing to do."""
        if self._settings.registry is None:
            progress(f"LAB_REGISTRY is not set: {build.tag} has to be on the nodes already")
            return Image(build.tag, "", 0, build.content_tag)
        with connect(timeout_s=SILENT_WORK_S) as client:
            return docker_build.build(client, build, progress)

    def load_image(self, tag: str, progress: Progress) -> None:
        """Push an image to the registry; without one, see that it is on the nodes."""
        if self._settings.registry is None:
            self._require_on_nodes(tag)
            return
        with connect(timeout_s=SILENT_WORK_S) as client:
            name = f"{self._settings.registry}/{tag}"
            reference = docker_build.push(client, tag, name, progress)
        made = self._made()
        self._remember(**made | {"images": made.get("images", {}) | {tag: reference}})

    def _require_on_nodes(self, tag: str) -> None:
        late = ImageError(
            f"Loading {tag} into the cluster of context {self._context}: no node has it, and "
            "LAB_REGISTRY is not set. Set it to a registry that you may push to and the nodes may "
            f"pull from, then lab.build_image({tag!r}); or load the image into the nodes yourself."
        )
        wait_for(lambda: self._is_on_a_node(tag), timeout_s=_REPORTED_S, late=lambda: late)

    def _is_on_a_node(self, tag: str) -> bool | None:
        wanted = full_reference(tag)
        for node in self._cluster.nodes():
            images = node["status"].get("images") or []
            names = {name for image in images for name in image.get("names") or ()}
            # A node reports its largest images only; with a full list nothing can be said.
            if wanted in names or len(images) >= _MOST_IMAGES_REPORTED:
                return True
        return None

    def adapt(self, obj: Object) -> Object:
        """Give an object for the lab's namespace, labelled, with images from the registry."""
        made = self._made()
        return adapt(
            obj,
            namespace=self.namespace,
            owner=str(made.get("owner", "")),
            images=made.get("images", {}),
        )

    def export_logs(self, folder: Path, progress: Progress) -> None:
        """Write what the lab's own pods have logged, a file for each."""
        for pod in self._cluster.pods():
            name = pod["metadata"]["name"]
            progress(name)
            (folder / f"{name}.log").write_text(self._cluster.logs(name))

    def service_url(self, service: Object) -> str:
        """Give the address of a load balancer or a node, else of a port that leads there."""
        if address := find_address(service, self._cluster.nodes()):
            return f"http://{address}"
        uid = str(service["metadata"]["uid"])
        if uid not in self._proxies:
            self._proxies[uid] = ServiceProxy(self.kubeconfig, service)
        return self._proxies[uid].url

    def stop_node(self, name: str) -> NoReturn:
        """Refuse: the machine is not the lab's."""
        self._refuse(f"Stopping node {name}")

    def pause_node(self, name: str) -> NoReturn:
        """Refuse: the machine is not the lab's."""
        self._refuse(f"Pausing node {name}")

    def unpause_node(self, name: str) -> NoReturn:
        """Refuse: the machine is not the lab's."""
        self._refuse(f"Unpausing node {name}")

    def start_node(self, name: str) -> NoReturn:
        """Refuse: the machine is not the lab's."""
        self._refuse(f"Starting node {name}")

    def signal_container(self, namespace: str, pod: str, container: str, signal: str) -> NoReturn:
        """Refuse: a process is reached from its machine, which is not the lab's."""
        self._refuse(f"Sending {signal} to {namespace}/{pod}")

    def _refuse(self, action: str) -> NoReturn:
        raise BackendUnavailable(
            f"{action}: the lab is a guest on the cluster of context {self._context} and does not "
            "touch its machines. Break what is the lab's own: lab.faults.drain(ROLE) or "
            "lab.faults.delete_pod(ROLE); or use LAB_BACKEND=kind or embedded."
        )

    def fidelity(self) -> list[Fidelity]:
        """Say what is real: whatever the cluster has."""
        return [
            Fidelity("the whole cluster", True, f"as the cluster of context {self._context} is"),
            Fidelity("stopped and paused nodes", False, "refused: its machines are not the lab's"),
        ]

    def _made(self) -> dict[str, Any]:
        """Read the lab's note: its label's value, and where the images were pushed to."""
        try:
            made: dict[str, Any] = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return made

    def _remember(self, **made: Any) -> None:
        write_atomically(self._note, json.dumps(made))
