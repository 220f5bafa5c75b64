"""What an object says about itself: ready, going away, rolled out, hopeless. Pure."""

from lab_utils.api import Object
from lab_utils.errors import NotReady

# Waiting longer does not help against these; the message says what does.
_HOPELESS = {
    "ErrImageNeverPull": "Load the image first: lab.load_image()",
    "InvalidImageName": "Correct the image's name in the manifest",
    "CreateContainerConfigError": "Look at the pod's events: lab.get('events')",
}


def is_ready(obj: Object) -> bool:
    """Tell whether a Pod or a Node has the condition Ready, and is not going away."""
    conditions = obj.get("status", {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) and (
        not is_terminating(obj)
    )


def is_terminating(obj: Object) -> bool:
    """Tell whether an object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]


def restarts_of(pod: Object) -> int:
    """Count how often the containers of a pod have been restarted."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return sum(status["restartCount"] for status in statuses)


def state_of(pod: Object) -> str:
    """Say in one word what a pod is doing, as `kubectl get pods` does in its STATUS column."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    for status in statuses:
        for state in ("waiting", "terminated"):
            if reason := status["state"].get(state, {}).get("reason"):
                return str(reason)
    return str(pod.get("status", {}).get("phase", "Unknown"))


def is_rolled_out(deployment: Object) -> bool:
    """Decide as `kubectl rollout status` does."""
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    return status.get("observedGeneration", 0) >= deployment["metadata"]["generation"] and all(
        status.get(field, 0) == wanted
        for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    )


def raise_if_hopeless(pods: list[Object]) -> None:
    """Refuse to wait for a pod that cannot start however long one waits.

    Raises:
        NotReady: There is one; says why and what to do.
    """
    for pod in pods:
        if (remedy := _HOPELESS.get(state_of(pod))) and not is_terminating(pod):
            meta, image = pod["metadata"], pod["spec"]["containers"][0]["image"]
            raise NotReady(
                f"Pod {meta['namespace']}/{meta['name']} cannot start: {state_of(pod)} "
                f"(image {image}). {remedy}."
            )
