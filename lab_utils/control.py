"""The worker's control port, reached through the API server: change its clock, break it.

Works on every cluster, for the API server passes requests on to any port of a pod. The port is
open only where the manifests say so: `manifests/experiments/control` does.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from lab_utils.api import Object
from lab_utils.cluster import Cluster
from lab_utils.errors import ClusterError, ClusterNotRunning, InvalidInput, NotFound, NotReady

PORT = 8001


def configure(cluster: Cluster, role: str, settings: Mapping[str, object]) -> dict[str, Any]:
    """Change settings of every worker of a role while it runs, all of them or none.

    Args:
        cluster: Where the workers are.
        role: Such as "primary".
        settings: As worker/README.md lists them, in lower case: slots=2, service_ms=50.

    Returns:
        For each pod what has changed, from what to what.

    Raises:
        InvalidInput: A setting is unknown, cannot be changed or cannot have this value.
        NotReady: There is no worker of this role, or it has no control port.
    """
    pods = [pod["metadata"]["name"] for pod in cluster.pods(f"role={role}")]
    if not pods:
        raise NotReady(
            f"There is no pod with role={role} in namespace {cluster.namespace}. "
            "Deploy first: lab.ensure('control')"
        )
    return {pod: _ask(cluster, pod, "PATCH", "/config", dict(settings)) for pod in pods}


def inject(cluster: Cluster, pod: str, fault: Mapping[str, object]) -> Callable[[], None]:
    """Switch a fault of worker/README.md on in one pod; what is given back switches it off.

    Raises:
        InvalidInput: The worker refuses it.
        NotReady: The worker has no control port.
    """
    number = _ask(cluster, pod, "POST", "/faults", dict(fault))["number"]

    def undo() -> None:
        if any(there["metadata"]["name"] == pod for there in cluster.pods()):
            with suppress(NotFound, NotReady):  # a worker that restarts has forgotten it
                _ask(cluster, pod, "DELETE", f"/faults/{number}", None)

    return undo


def _ask(cluster: Cluster, pod: str, method: str, path: str, body: object) -> Object:
    try:
        text = cluster.proxy_pod(pod, PORT, path, method=method, body=body)
    except (ClusterNotRunning, NotFound):
        raise
    except ClusterError as exc:
        if exc.code == HTTPStatus.BAD_REQUEST:
            raise InvalidInput(f"The worker in Pod {pod} refuses {body}: {exc}") from exc
        raise NotReady(
            f"The worker in Pod {pod} has no control port open. "
            "Deploy one that has: lab.ensure('control')"
        ) from exc
    answer: Object = json.loads(text)
    return answer
