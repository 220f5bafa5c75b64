"""How a running cluster is found: the endpoint file and the kubeconfig.

Written by the control plane once it answers, read by the launcher and the kubelets. A process is
named by pid and start time, so that a pid used again by another program is never taken for it.
"""

import base64
import json
from dataclasses import asdict, dataclass

from lab_utils.controlplane.config import ADMIN, ClusterConfig, Layout, write_atomically
from lab_utils.controlplane.processes import is_same


@dataclass(frozen=True)
class Endpoint:
    """Where a cluster listens (127.0.0.1:port, 127.<octet>.0.0/16) and who keeps it alive."""

    port: int
    octet: int
    pid: int
    birth: int
    guard_pid: int
    guard_birth: int

    @property
    def is_alive(self) -> bool:
        """Tell whether the control plane of this file still runs."""
        return is_same(self.pid, self.birth)

    def publish(self, layout: Layout, config: ClusterConfig) -> None:
        """Write the kubeconfig, then the endpoint file that says the cluster is up."""
        write_atomically(layout.kubeconfig, json.dumps(_kubeconfig(layout, config, self.port)))
        write_atomically(layout.endpoint, json.dumps(asdict(self)))

    @classmethod
    def read(cls, layout: Layout) -> "Endpoint | None":
        """Read what publish() wrote; None when there is nothing, or nothing whole."""
        try:
            return cls(**json.loads(layout.endpoint.read_text()))
        except (OSError, ValueError, TypeError):
            return None


def _kubeconfig(layout: Layout, config: ClusterConfig, port: int) -> dict[str, object]:
    """Give the admin's kubeconfig; it is saved as JSON, which every reader of YAML takes."""
    name = f"embedded-{config.name}"
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": base64.b64encode(layout.ca.read_bytes()).decode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": layout.token_of(ADMIN)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
