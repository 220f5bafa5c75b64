"""Pods as those who keep a number of them see them: made from a template, sent away in order.

Hides what a template gives its pods, which pods are missed least, and how many come at a time.
"""

import copy
from collections import Counter
from collections.abc import Iterable

from lab_utils.controlplane.controllers.actions import Action, Create, Delete, Emit
from lab_utils.controlplane.controllers.objects import (
    condition_of,
    controller_reference,
    is_ready,
    name_of,
)
from lab_utils.controlplane.status import Object
from lab_utils.controlplane.timestamps import parse_rfc3339

BURST = 25
"""Pods created or deleted in one step, so that requests are served in between."""
MAX_PODS = 500
"""Ours: a typing error in a number of pods must not fill the machine's memory with Pending ones."""
_FROM_TEMPLATE = ("labels", "annotations", "finalizers")


def growth(owner: Object, present: int, missing: int) -> tuple[int, str]:
    """Give how many pods may be created now, and why none ever will if so; "" otherwise."""
    if not missing or present < MAX_PODS:
        return min(missing, BURST, MAX_PODS - present), ""
    limit = f"every {owner['kind']} of this cluster has {MAX_PODS} at most"
    return 0, f"{present + missing} pods wanted, {limit}"


def creation(owner: Object, template: Object, component: str, prefix: str = "") -> Create:
    """Create a pod from a template; its name is generated from the prefix, or else the owner's."""
    made = copy.deepcopy(template)
    of_template = {key: value for key, value in made["metadata"].items() if key in _FROM_TEMPLATE}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": prefix or f"{name_of(owner)}-",
            "namespace": owner["metadata"]["namespace"],
            **of_template,
            "ownerReferences": [controller_reference(owner)],
        },
        "spec": made["spec"],
    }
    return Create(pod, Emit(owner, "Normal", "SuccessfulCreate", "Created pod: {name}", component))


def removal(owner: Object, pods: Iterable[Object], component: str) -> list[Action]:
    """Delete pods, and say so."""
    actions: list[Action] = []
    for pod in pods:
        message = f"Deleted pod: {name_of(pod)}"
        actions.append(Delete(pod))
        actions.append(Emit(owner, "Normal", "SuccessfulDelete", message, component))
    return actions


def least_missed(active: list[Object], *, crowded_first: bool = False) -> list[Object]:
    """Sort pods: who is missed least comes first.

    Not yet placed, pending, not ready, (one of many on its node,) ready for a short time, young.

    Source:
        https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
    """
    crowd = Counter(pod["spec"].get("nodeName") for pod in active if crowded_first)
    return sorted(active, key=lambda pod: _merits(pod, crowd))


def _merits(pod: Object, crowd: Counter[str | None]) -> tuple[object, ...]:
    meta, node = pod["metadata"], pod["spec"].get("nodeName")
    ready = condition_of(pod, "Ready") or {}
    ready_since = parse_rfc3339(ready.get("lastTransitionTime") or meta["creationTimestamp"])
    return (
        bool(node),
        (pod.get("status") or {}).get("phase") == "Running",
        is_ready(pod),
        -crowd[node],
        -ready_since.timestamp(),
        -parse_rfc3339(meta["creationTimestamp"]).timestamp(),
        meta["uid"],
    )
