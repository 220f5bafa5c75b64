"""What a backend is: a place that gives a cluster, its images and the power switch of its nodes.

Everything above speaks the Kubernetes API with the kubeconfig found here, and HTTP with
`service_url`. Whatever a backend cannot do it refuses with a `LabError` that names the next step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[str], None]
"""Told in one line what is being done."""

SIGNALS = ("KILL", "STOP", "CONT")


@dataclass(frozen=True)
class Image:
    """A built image: digest is "sha256:<hex>" of its content, however often it is built."""

    tag: str
    digest: str
    size_bytes: int


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

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own kubeconfig file; there once the cluster has started."""

    def start(self, progress: Progress) -> None:
        """Attach to the cluster, or create it; its nodes may still be joining."""

    def stop(self) -> None:
        """End the cluster and everything in it."""

    def is_running(self) -> bool:
        """Tell whether there is a cluster to talk to."""

    def describe(self) -> dict[str, Any]:
        """Give what a report should say about the cluster; no secrets."""

    def build_image(
        self,
        context: Path,
        dockerfile: Path,
        tag: str,
        build_args: Mapping[str, str],
        progress: Progress,
    ) -> Image:
        """Build an image from a folder and a Dockerfile."""

    def load_image(self, tag: str, progress: Progress) -> None:
        """Put a built image on every node, and see that it is there."""

    def service_url(self, node_port: int) -> str:
        """Give the address, as this machine sees it, of the Service with this nodePort."""

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
