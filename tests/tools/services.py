"""Services as the API gives them."""

from typing import Any


def node_port_service(node_port: int, **spec: Any) -> dict[str, Any]:
    """Give a Service as a cluster would show it."""
    ports = [{"name": "http", "port": 80, "nodePort": node_port}]
    return {
        "kind": "Service",
        "metadata": {"namespace": "lab", "name": "inference", "uid": f"uid-{node_port}"},
        "spec": {"type": "NodePort", "ports": ports} | spec,
    }
