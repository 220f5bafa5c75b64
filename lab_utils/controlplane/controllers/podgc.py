"""Pod garbage collection: a pod cannot outlive the Node object it is bound to.

Kubernetes waits 40 s for the node to come back; here nobody deletes a Node by accident.
Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
"""

from collections.abc import Iterable
from datetime import datetime

from lab_utils.controlplane.controllers.actions import Action, delete
from lab_utils.controlplane.controllers.controller import Controller
from lab_utils.controlplane.controllers.objects import Key, key_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.store import Change


def reconcile(pod: Object, world: World, _now: datetime) -> list[Action]:
    """Delete a pod at once when its node is no longer part of the cluster."""
    node = pod["spec"].get("nodeName")
    if not node or world.get("Node", "", node) is not None:
        return []
    return [delete("Pod", pod, grace_s=0)]


def _pods_of_node(change: Change, world: World) -> Iterable[Key]:
    if change.type != "DELETED":
        return []
    return [key_of("Pod", pod) for pod in world.pods_on(change.object["metadata"]["name"])]


CONTROLLER = Controller("pod-garbage-collector", "Pod", reconcile, {"Node": _pods_of_node})
