"""A HorizontalPodAutoscaler for a Deployment, as `kubectl autoscale` makes one, and its end.

Never waits for what it does: it looks every 15 s, at figures that are older than that.
"""

from lab_utils.api import Object
from lab_utils.cluster import FIELD_MANAGER, Cluster

_KIND = "horizontalpodautoscalers"


def autoscale(cluster: Cluster, deployment: str, *, target_pct: int, most: int) -> None:
    """Let a Deployment have as many pods as their CPU use asks for, one at least.

    Args:
        cluster: Where it is.
        deployment: Its name.
        target_pct: Use to aim at, as a percentage of what the pods request.
        most: maxReplicas.

    Raises:
        ClusterError: The server refuses it; says which field.
    """
    path = cluster.api.path_of(_KIND, cluster.namespace, deployment)
    cluster.api.request(
        f"Autoscaling Deployment {cluster.namespace}/{deployment}", "PATCH", path,
        query=[("fieldManager", FIELD_MANAGER), ("force", "true")],
        body=_manifest(deployment, target_pct, most), content_type="application/apply-patch+yaml",
    )  # fmt: skip


def _manifest(deployment: str, target_pct: int, most: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": target_pct}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": deployment},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": 1,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def remove_autoscalers(cluster: Cluster, role: str = "") -> None:
    """Delete the autoscalers of a role's Deployments; the pods stay as many as they are.

    Args:
        cluster: Where they are.
        role: Whose; "" means every autoscaler of the namespace.
    """
    of_role = {d["metadata"]["name"] for d in cluster.deployments(f"role={role}" if role else "")}
    for hpa in cluster.api.list(_KIND, cluster.namespace):
        if not role or hpa["spec"]["scaleTargetRef"]["name"] in of_role:
            cluster.delete(_KIND, hpa["metadata"]["name"])
