"""The lab's hold on a cluster: the settings, the backend they choose, and its API.

Finds again what an earlier kernel left running, and starts a cluster where there is none. Knows
nothing of what runs in it.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab_utils.api import Api
from lab_utils.backends import Backend
from lab_utils.backends.choose import choose
from lab_utils.backends.kubeadm import read_knobs
from lab_utils.backends.topology import read_cluster_file
from lab_utils.bars import track
from lab_utils.cluster import Cluster
from lab_utils.errors import ClusterNotRunning
from lab_utils.settings import (
    Settings,
    cluster_file,
    load_settings,
    settings_beside,
    show_path,
)

if TYPE_CHECKING:
    import pandas as pd

    from lab_utils.theory import NodePace

SERVICE = "inference"


class Attachment:
    """A cluster that can be attached to: nothing is started before it is needed.

    Args:
        settings: From the environment by default.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once."""
        return self._given or load_settings()

    @cached_property
    def _usual(self) -> Settings:
        return self.settings

    def use_cluster(self, kind: str = "") -> "NodePace":
        """Work with another cluster from here on; the usual one goes on beside it.

        Nothing is started: ensure() does that, and down() then ends this cluster, not the usual.

        Args:
            kind: "fast" for the one of manifests/kind-cluster-fast.yaml, which misses a dead node
                soon; "" goes back to the usual one.

        Returns:
            How soon the cluster misses a node, as its file says.

        Raises:
            InvalidInput: There is no such file; names those there are.
        """
        usual = self._usual
        self.settings = settings_beside(usual, kind) if kind else usual
        for known in ("_chosen", "cluster"):
            self.__dict__.pop(known, None)
        path = cluster_file(self.settings)
        return read_knobs(read_cluster_file(path), show_path(path)).node_pace()

    @cached_property
    def _chosen(self) -> tuple[Backend, str]:
        return choose(self.settings)

    @property
    def backend(self) -> Backend:
        """The backend that the settings ask for."""
        return self._chosen[0]

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster's API, in the lab's namespace."""
        return Cluster(Api(self.backend.kubeconfig), self.backend.namespace)

    def up(self) -> dict[str, Any]:
        """Attach to the cluster, or start it, and wait until its nodes are Ready.

        Returns:
            What `status()` says.

        Raises:
            BackendUnavailable, ClusterError, PortBusy: It cannot be started; says what to do.
        """
        backend, reason = self._chosen
        with track(f"Cluster {self.settings.cluster!r} on {backend.name}: {reason}") as bar:
            backend.start(bar.say)
            self.__dict__.pop("cluster", None)  # a new cluster has a new address and new keys
            bar.say("Waiting for the nodes")
            self.cluster.wait_for_nodes(backend.describe()["nodes"])
        return self.status()

    def down(self) -> bool:
        """End the cluster and everything in it; False when there was none."""
        was_running = self.backend.is_running()
        self.backend.stop()
        return was_running

    def kubeconfig(self) -> Path:
        """Give the path for `kubectl --kubeconfig`."""
        self._require_running()
        return self.backend.kubeconfig

    def status(self) -> dict[str, Any]:
        """Say what runs: backend, where it is found, nodes and pods with their states."""
        backend, reason = self._chosen
        running = backend.is_running()
        status: dict[str, Any] = {
            "cluster": self.settings.cluster,
            "backend": backend.name,
            "reason": reason,
            "running": running,
            "kubeconfig": str(backend.kubeconfig) if running else None,
            "nodes": {},
            "pods": {},
        }
        if running:
            status["nodes"] = _column(self.cluster.get("nodes"), "Status")
            status["pods"] = _column(self.cluster.get("pods"), "Status")
        return status

    def url(self, service: str = SERVICE, path: str = "") -> str:
        """Give the address at which a Service answers this machine.

        Raises:
            InvalidInput: The Service is not meant to be reached from outside.
        """
        self._require_running()
        found = self.cluster.api.read("service", self.backend.namespace, service)
        return self.backend.service_url(found) + path

    def fidelity(self) -> "pd.DataFrame":
        """Say what is real and what is emulated on this backend, one aspect a row."""
        import pandas as pd

        rows = [
            (item.aspect, "real" if item.real else "emulated", item.how)
            for item in self.backend.fidelity()
        ]
        return pd.DataFrame(rows, columns=["aspect", "this backend", "how"])

    def _require_running(self) -> None:
        if not self.backend.is_running():
            raise ClusterNotRunning(
                f"Cluster {self.settings.cluster!r} ({self.backend.name}) is not running. "
                "Start it: lab.up() in a notebook, `lab up` in a terminal."
            )


def _column(table: "pd.DataFrame", column: str) -> dict[str, str]:
    return dict(zip(table["Name"], table[column], strict=True))
