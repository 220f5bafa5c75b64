"""What a backend is: a place that gives a cluster, its images and the power switch of its nodes.

Everything above speaks the Kubernetes API with the kubeconfig found here, and HTTP with
`service_url`. Whatever a backend cannot do it refuses with a `LabError` that names the next step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lab_utils.errors import InvalidInput

Object = dict[str, Any]
"""An API object as on the wire."""

Progress = Callable[[str], None]
"""Told in one line what is being done."""

SIGNALS = ("KILL", "STOP", "CONT")
NAMESPACE = "lab"
"""The namespace of the manifests."""


@dataclass(frozen=True)
class Build:
    """What an image is built from: a Dockerfile, the folder it copies from, its arguments.

    Beside the name that people read, an image gets one that follows from what is in it, so that
    two different images never have all their names in common.
    """

    context: Path
    dockerfile: Path
    tag: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    content_tag: str = ""


@dataclass(frozen=True)
class Image:
    """A built image: digest is "sha256:<hex>" of its content, however often it is built."""

    tag: str
    digest: str
    size_bytes: int
    content_tag: str = ""


@dataclass(frozen=True)
class Fidelity:
    """One aspect of a cluster: is it the real thing here, or something that behaves like it?"""

    aspect: str
    real: bool
    how: str


class Backend(Protocol):
    """One cluster. Every method may be called twice; each does nothing the second time."""

    name: str
    """ "kind", "embedded" or "context:NAME"."""
    namespace: str
    """Where the lab's objects are."""

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig file; there once the cluster has started."""

    def intent(self) -> str:
        """Say what start() leads to where others might mind; empty where nobody could."""

    def start(self, progress: Progress) -> None:
        """Attach to the cluster, or create it; its nodes may still be joining."""

    def stop(self) -> None:
        """End the cluster and everything in it."""

    def is_running(self) -> bool:
        """Tell whether there is a cluster to talk to."""

    def describe(self) -> dict[str, Any]:
        """Give what a report should say about the cluster; no secrets."""

    def build_image(self, build: Build, progress: Progress) -> Image:
        """Build an image and give it its names."""

    def load_image(self, tag: str, progress: Progress) -> None:
        """Put a built image on every node, and see that it is there."""

    def export_logs(self, folder: Path, progress: Progress) -> None:
        """Write what the cluster has logged into a folder that is there."""

    def adapt(self, obj: Object) -> Object:
        """Give a manifest's object as this cluster needs it; the object itself is not changed."""

    def service_url(self, service: Object) -> str:
        """Give the address at which a Service answers this machine.

        Raises:
            InvalidInput: It is not meant to be reached from outside.
        """

    def stop_node(self, name: str) -> None:
        """Cut the power of a node."""

    def pause_node(self, name: str) -> None:
        """Freeze a node: its connections stay open, and nothing answers."""

    def unpause_node(self, name: str) -> None:
        """Thaw a node."""

    def start_node(self, name: str) -> None:
        """Bring a node back to running, whether it was stopped or paused."""

    def signal_container(self, namespace: str, pod: str, container: str, signal: str) -> None:
        """Send KILL, STOP or CONT to the main process of a container, behind Kubernetes' back."""

    def fidelity(self) -> list[Fidelity]:
        """Say what is real here and what is emulated, and how."""


def node_port_of(service: Object) -> int:
    """Give the first nodePort of a Service.

    Raises:
        InvalidInput: It has none.
    """
    meta, spec = service["metadata"], service["spec"]
    for port in spec.get("ports") or ():
        if "nodePort" in port:
            return int(port["nodePort"])
    raise InvalidInput(
        f"Service {meta['namespace']}/{meta['name']} is of type {spec['type']} and has no "
        "nodePort: it is reachable inside the cluster only. Try lab.url('inference')."
    )
