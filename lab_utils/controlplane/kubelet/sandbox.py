"""What the containers of one pod share: hosts file, search domains, Services, mount table.

Written into one file of the pod and a few variables, for `container/sitecustomize.py`, which makes
them true for the container's Python. Sources:
https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/ and, for the variables,
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lab_utils.controlplane.allocation import CLUSTER_IPS
from lab_utils.controlplane.kubelet.container.sitecustomize import MOUNTS, POD
from lab_utils.controlplane.names import DOMAIN
from lab_utils.controlplane.routes import HEADLESS
from lab_utils.controlplane.status import Object

_SITE = Path(__file__).with_name("container")
_SERVICE_PREFIX = str(CLUSTER_IPS.network_address).removesuffix("0.0")


def write_sandbox(folder: Path, pod: Object, address: str, services: Path) -> None:
    """Write what is this pod's: services is the table that the Service proxy keeps."""
    content = {
        "hosts": _hosts(pod, address),
        "search": _search(pod),
        "cluster_dns": _uses_cluster_dns(pod["spec"]),
        "services": str(services),
        "service_prefix": _SERVICE_PREFIX,
    }
    (folder / "pod.json").write_text(json.dumps(content))


def sandbox_env(folder: Path, mounts: Mapping[str, Path], env: Mapping[str, str]) -> dict[str, str]:
    """Give the variables through which a container's Python finds it all."""
    found = {POD: str(folder / "pod.json")}
    if mounts:
        found[MOUNTS] = "\n".join(f"{mount}={place}" for mount, place in mounts.items())
    before = env.get("PYTHONPATH")
    return found | {"PYTHONPATH": f"{_SITE}:{before}" if before else str(_SITE)}


def service_links(services: Iterable[Object]) -> dict[str, str]:
    """Give the variables that tell of Services, as Docker's links once did."""
    found: dict[str, str] = {}
    for service in services:
        spec, name = service["spec"], _variable(service["metadata"]["name"])
        address, ports = spec.get("clusterIP", HEADLESS), spec.get("ports") or ()
        if address in ("", HEADLESS):
            continue
        found[f"{name}_SERVICE_HOST"] = address
        for i, port in enumerate(ports):
            number, protocol = str(port["port"]), port.get("protocol", "TCP")
            url = f"{protocol.lower()}://{address}:{number}"
            if i == 0:
                found |= {f"{name}_SERVICE_PORT": number, f"{name}_PORT": url}
            if port.get("name"):
                found[f"{name}_SERVICE_PORT_{_variable(port['name'])}"] = number
            link = f"{name}_PORT_{number}_{protocol}"
            found |= {link: url, f"{link}_PROTO": protocol.lower()}
            found |= {f"{link}_PORT": number, f"{link}_ADDR": address}
    return found


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def _hosts(pod: Object, address: str) -> dict[str, str]:
    spec, metadata = pod["spec"], pod["metadata"]
    hostname = spec.get("hostname") or metadata["name"]
    found = {hostname: address}
    if subdomain := spec.get("subdomain"):
        found[f"{hostname}.{subdomain}.{metadata['namespace']}.svc.{DOMAIN}"] = address
    for alias in spec.get("hostAliases") or ():
        found |= dict.fromkeys(alias.get("hostnames") or (), alias["ip"])
    return found


def _uses_cluster_dns(spec: Object) -> bool:
    policy = spec.get("dnsPolicy", "ClusterFirst")
    return policy == "ClusterFirstWithHostNet" or (
        policy == "ClusterFirst" and not spec.get("hostNetwork")
    )


def _search(pod: Object) -> list[str]:
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    own = [f"{namespace}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN] if _uses_cluster_dns(spec) else []
    return own + ((spec.get("dnsConfig") or {}).get("searches") or [])
