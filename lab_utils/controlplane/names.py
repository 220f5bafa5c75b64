"""What the names of Services lead to: Services and EndpointSlices in, addresses out.

Pure. Plays CoreDNS: a Service's name is its clusterIP, a headless one's the addresses of its ready
pods, and each of those that has a hostname has a name of its own below the Service's. Source:
https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

from collections.abc import Iterable

from lab_utils.controlplane.routes import HEADLESS, by_service
from lab_utils.controlplane.status import Object

DOMAIN = "cluster.local"


def names(services: Iterable[Object], slices: Iterable[Object]) -> dict[str, list[str]]:
    """Give the addresses of every full name; of an ExternalName the other name."""
    found: dict[str, list[str]] = {}
    endpoints = by_service(slices)
    for service in services:
        metadata, spec = service["metadata"], service["spec"]
        name = f"{metadata['name']}.{metadata['namespace']}.svc.{DOMAIN}"
        if spec.get("type") == "ExternalName":
            found[name] = [spec["externalName"]]
        elif spec.get("clusterIP") != HEADLESS:
            found[name] = [spec["clusterIP"]] if spec.get("clusterIP") else []
        else:
            every = spec.get("publishNotReadyAddresses", False)
            found[name] = []
            for one in endpoints.get((metadata["namespace"], metadata["name"]), ()):
                _add_endpoints(found, name, one, every=every)
    return found


def _add_endpoints(found: dict[str, list[str]], name: str, one: Object, *, every: bool) -> None:
    for endpoint in one.get("endpoints") or ():
        if every or (endpoint.get("conditions") or {}).get("ready", True):
            found[name] += endpoint["addresses"]
            if "hostname" in endpoint:
                found[f"{endpoint['hostname']}.{name}"] = endpoint["addresses"]
