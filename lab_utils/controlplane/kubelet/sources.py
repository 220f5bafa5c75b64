"""Fetches what the environment and the volumes of a container refer to."""

from lab_utils.controlplane.kubelet.client import ApiClient
from lab_utils.controlplane.kubelet.env import Sources, decode, references
from lab_utils.controlplane.kubelet.volumes import volume_references
from lab_utils.controlplane.status import ApiError, Object

_PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}


async def fetch_sources(
    client: ApiClient, pod: Object, container: Object, node_ip: str, pod_ip: str
) -> Sources:
    """Ask the API server for every ConfigMap, Secret and Service a container needs."""
    namespace = f"/api/v1/namespaces/{pod['metadata']['namespace']}"
    wanted = references(container) | volume_references(pod)
    data = {
        (kind, name): await _data(client, f"{namespace}/{_PLURALS[kind]}/{name}", kind)
        for kind, name in sorted(wanted)
    }
    services: list[Object] = []
    if pod["spec"].get("enableServiceLinks", True):
        listed = await client.get(f"{namespace}/services")
        kubernetes = await _get(client, "/api/v1/namespaces/default/services/kubernetes")
        services = [*([kubernetes] if kubernetes else []), *listed["items"]]
    return Sources(data=data, services=tuple(services), node_ip=node_ip, pod_ip=pod_ip)


async def _data(client: ApiClient, path: str, kind: str) -> dict[str, str] | None:
    found = await _get(client, path)
    return None if found is None else decode({**found, "kind": kind})


async def _get(client: ApiClient, path: str) -> Object | None:
    try:
        return await client.get(path)
    except ApiError as exc:
        if exc.code != 404:
            raise
        return None
