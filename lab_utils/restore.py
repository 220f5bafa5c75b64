"""Back to the known state: what faults, exercises and other people's tools have left is undone.

Each function does nothing when there is nothing to do, and leaves alone what the manifests do not
speak of, except in the lab's own namespace.
"""

from collections.abc import Collection

from lab_utils.api import Object
from lab_utils.backends import Backend
from lab_utils.cluster import Applied, Cluster
from lab_utils.conditions import restarts_of
from lab_utils.errors import NotReady
from lab_utils.waiting import wait_for


def restore_nodes(cluster: Cluster, backend: Backend) -> None:
    """Switch every node on, thaw it, and let the scheduler use it.

    Of a cluster that is not the lab's own, only the nodes that the lab itself has cordoned.
    """
    names = backend.describe()["nodes"]
    for name in names:
        backend.start_node(name)
    cluster.wait_for_nodes(names)
    ours = {*names, *cluster.nodes_cordoned()}
    for node in cluster.nodes():
        if node["spec"].get("unschedulable") and node["metadata"]["name"] in ours:
            cluster.uncordon(node["metadata"]["name"])


def remove_others(cluster: Cluster, wanted: Collection[Applied]) -> None:
    """Delete what is in the namespace, of the manifests' kinds, and not in the manifests.

    Jobs too: a run from inside whose kernel died has left one.
    """
    keep = {(item.kind, item.name) for item in wanted}
    for kind in sorted({item.kind for item in wanted} - {"Namespace"} | {"Job"}):
        for obj in cluster.api.list(kind, cluster.namespace):
            name = obj["metadata"]["name"]
            if (kind, name) not in keep and "ownerReferences" not in obj["metadata"]:
                cluster.delete(kind, name)


def remove_altered(cluster: Cluster) -> None:
    """Delete the Deployments and budgets that were changed otherwise than by apply().

    Applying the manifests takes their own fields back, but leaves those that `lab.patch` or
    `kubectl edit` have added: nobody who applies owns them. Made anew, they have none.
    """
    for kind in ("deployments", "poddisruptionbudgets"):
        for obj in cluster.api.list(kind, cluster.namespace):
            written: dict[str, set[str]] = {"Apply": set(), "Update": set()}
            for entry in obj["metadata"].get("managedFields") or []:
                if "subresource" not in entry:
                    written[entry["operation"]] |= _paths(entry["fieldsV1"].get("f:spec", {}))
            if written["Update"] - written["Apply"]:
                cluster.delete(kind, obj["metadata"]["name"])


def _paths(fields: Object, at: str = "") -> set[str]:
    """Flatten fieldsV1 to the paths of its leaves; "." is the node itself."""
    below = [_paths(inner, f"{at}/{name}") for name, inner in fields.items() if name != "."]
    return set().union(*below) if below else {at} - {""}


def replace_spoiled_pods(cluster: Cluster) -> None:
    """Give a fresh start to pods that an experiment has marked.

    A pod that has crashed carries its back-off along, 10 s, 20 s, ... at the next crash; and one
    that had to move in with the other role stays there when its own node is back.
    """
    homes = {pod["spec"].get("nodeName") for pod in cluster.pods("role=primary")}
    for pod in cluster.pods():
        is_backup = pod["metadata"].get("labels", {}).get("role") == "backup"
        moved_in = is_backup and pod["spec"].get("nodeName") in homes
        if restarts_of(pod) > 0 or moved_in:
            cluster.delete("pod", pod["metadata"]["name"], grace_s=0)


def delete_namespace(cluster: Cluster) -> None:
    """Delete the namespace with all that is in it, and wait until it is gone.

    Raises:
        NotReady: Something keeps it after a minute.
    """
    if not cluster.delete("namespace", cluster.namespace):
        return

    def gone() -> bool | None:
        names = {ns["metadata"]["name"] for ns in cluster.api.list("namespace")}
        return None if cluster.namespace in names else True

    late = NotReady(
        f"Namespace {cluster.namespace} is still being deleted after 60 s. "
        "Look with lab.get('pods')."
    )
    wait_for(gone, timeout_s=60.0, late=lambda: late)
