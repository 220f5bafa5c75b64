"""The manifests, written for the lab's own clusters, as a cluster that others use too needs them.

Pure. In a namespace of its own, everything labelled so that it can be found and removed; images
from a registry, since nobody may load them into the nodes; no fixed nodePorts, which are one pool
for the whole cluster.
"""

import copy
from collections.abc import Iterator, Mapping

from lab_utils.backends.base import NAMESPACE, Object

OWNER_LABEL = "k8s-inference-lab/owner"
MANAGED_BY = {"app.kubernetes.io/managed-by": "k8s-inference-lab"}


def adapt(obj: Object, *, namespace: str, owner: str, images: Mapping[str, str]) -> Object:
    """Give an object as a shared cluster needs it.

    Args:
        obj: As in the manifest; not changed.
        namespace: Takes the place of the manifests' own.
        owner: The value of OWNER_LABEL.
        images: Where images that are meant to be loaded are to be pulled from, by name. Those not
            in it have to be on the nodes.

    Returns:
        A new object.
    """
    changed = copy.deepcopy(obj)
    meta = changed["metadata"]
    meta["labels"] = {**meta.get("labels", {}), **MANAGED_BY, OWNER_LABEL: owner}
    if changed["kind"] == "Namespace" and meta["name"] == NAMESPACE:
        meta["name"] = namespace
    elif meta.get("namespace") == NAMESPACE:
        meta["namespace"] = namespace
    if changed["kind"] == "Service":
        for port in changed.get("spec", {}).get("ports") or ():
            port.pop("nodePort", None)
    for container in _containers(changed):
        if container.get("imagePullPolicy") == "Never" and container.get("image") in images:
            container |= {"image": images[container["image"]], "imagePullPolicy": "IfNotPresent"}
    return changed


def _containers(obj: Object) -> Iterator[Object]:
    spec = obj.get("spec") or {}
    pod = spec if obj["kind"] == "Pod" else (spec.get("template") or {}).get("spec") or {}
    for field in ("initContainers", "containers"):
        yield from pod.get(field) or ()
