"""Kind's nodes as Docker containers: found by label, switched, and looked into with `crictl`."""

import json
from typing import TYPE_CHECKING, Any

from lab_utils.backends.kind_cli import CommandFailed, ask
from lab_utils.errors import ClusterError, NotFound

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

CLUSTER_LABEL = "io.x-k8s.kind.cluster"
ROLE_LABEL = "io.x-k8s.kind.role"


def find_nodes(client: "DockerClient", cluster: str) -> "dict[str, Container]":
    """Find the containers of a cluster's nodes, running or not."""
    found = client.containers.list(all=True, filters={"label": f"{CLUSTER_LABEL}={cluster}"})
    return {str(node.name): node for node in sorted(found, key=lambda node: str(node.name))}


def find_node(client: "DockerClient", cluster: str, name: str) -> "Container":
    """Find one node.

    Raises:
        NotFound: The cluster has no node of this name.
    """
    nodes = find_nodes(client, cluster)
    if name not in nodes:
        raise NotFound(f"Cluster {cluster!r} has no node {name!r}: it has {', '.join(nodes)}.")
    return nodes[name]


def bring_up(node: "Container") -> None:
    """Bring a node back to running from whatever state it is in."""
    if node.status == "paused":
        node.unpause()
    elif node.status != "running":
        node.start()


def run_on(node: "Container", *command: str) -> str:
    """Run a command on a node.

    By the `docker` command: the SDK's exec loses output that comes together with the headers.

    Raises:
        ClusterError: The node is off, or the command failed.
    """
    if node.status != "running":
        raise ClusterError(
            f"Node {node.name} is {node.status}: start it first, or call lab.ensure()."
        )
    try:
        return ask(["docker", "exec", str(node.name), *command])
    except CommandFailed as exc:
        raise ClusterError(f"`{' '.join(command)}` on node {node.name} failed: {exc}.") from exc


def images_on(node: "Container") -> dict[str, str]:
    """List a node's images: full reference -> image id."""
    listing = json.loads(run_on(node, "crictl", "images", "-o", "json"))
    return {tag: image["id"] for image in listing["images"] for tag in image.get("repoTags") or ()}


def full_reference(tag: str) -> str:
    """Write a name as containerd knows it: worker:1 is docker.io/library/worker:1."""
    first, slash, _ = tag.partition("/")
    if not slash:
        return f"docker.io/library/{tag}"
    is_registry = "." in first or ":" in first or first == "localhost"
    return tag if is_registry else f"docker.io/{tag}"


def container_id(listing: dict[str, Any], namespace: str, pod: str, container: str) -> str | None:
    """Find a running container in what `crictl ps -o json` wrote."""
    wanted = {
        "io.kubernetes.pod.namespace": namespace,
        "io.kubernetes.pod.name": pod,
        "io.kubernetes.container.name": container,
    }
    for entry in listing["containers"]:
        if wanted.items() <= entry.get("labels", {}).items():
            return str(entry["id"])
    return None


def signal_on(node: "Container", namespace: str, pod: str, container: str, signal: str) -> bool:
    """Signal a container's main process from its node; False if it does not run there."""
    listing = json.loads(run_on(node, "crictl", "ps", "-o", "json"))
    found = container_id(listing, namespace, pod, container)
    if found is None:
        return False
    pid = json.loads(run_on(node, "crictl", "inspect", found))["info"]["pid"]
    run_on(node, "kill", "-s", signal, str(pid))
    return True
