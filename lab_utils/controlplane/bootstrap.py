"""What is in a cluster before anybody asks for anything: namespaces and the Service of the API."""

from lab_utils.controlplane.config import API_CLUSTER_IP
from lab_utils.controlplane.registry import Registry

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_MANAGER = "kube-apiserver"
_HOME = {"name": "kubernetes", "namespace": "default"}


def create_system_objects(registry: Registry, port: int) -> None:
    """Create the system's namespaces, and `default/kubernetes` in front of 127.0.0.1:port."""
    for name in NAMESPACES:
        registry.create("Namespace", {"metadata": {"name": name}}, manager=_MANAGER)
    https = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}
    service = {
        "metadata": _HOME | {"labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": API_CLUSTER_IP, "ports": [https]},
    }
    registry.create("Service", service, manager=_MANAGER)
    piece = {
        "metadata": _HOME | {"labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    registry.create("EndpointSlice", piece, manager=_MANAGER)
