"""Which pods, nodes and taints a rule means, in the rules' own wire form.

Hides the operators (they are `selectors`') and topology domains.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/ and
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from collections.abc import Mapping
from typing import Any

from lab_utils.controlplane.controllers.objects import is_finished, labels_of, name_of
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.selectors import Requirement, label_selector
from lab_utils.controlplane.status import Object


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector selects these labels: {} selects all, None nothing."""
    return selector is not None and label_selector(selector).matches(labels)


def rules(pod: Object, affinity: str, strength: str) -> Any:
    """Give the "required" or "preferred" rules of one kind of affinity; None if there are none."""
    given = (pod["spec"].get("affinity") or {}).get(affinity) or {}
    return given.get(f"{strength}DuringSchedulingIgnoredDuringExecution")


def matches_node(term: Object, node: Object) -> bool:
    """Tell whether a NodeSelectorTerm selects a node; a term without any requirement does not."""
    wanted = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    known = labels_of(node) | {"metadata.name": name_of(node)}  # the only field there is
    return bool(wanted) and all(
        Requirement(rule["key"], rule["operator"], tuple(rule.get("values") or ())).matches(known)
        for rule in wanted
    )


def meets(term: Object, holder: Object, other: Object, world: World) -> bool:
    """Tell whether a pod affinity term of holder means the other pod."""
    selected = matches(term.get("labelSelector"), labels_of(other))
    return selected and _is_in_reach(term, holder, other["metadata"]["namespace"], world)


def _is_in_reach(term: Object, holder: Object, namespace: str, world: World) -> bool:
    """Tell whether a term looks into a namespace: those it names or selects, or else its own."""
    names, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    if not names and selector is None:
        return bool(namespace == holder["metadata"]["namespace"])
    space = world.get("Namespace", "", namespace)
    return namespace in names or (space is not None and matches(selector, labels_of(space)))


def running_on(node: Object, world: World) -> list[Object]:
    """Give the pods that take room on a node."""
    return [pod for pod in world.pods_on(name_of(node)) if not is_finished(pod)]


def pods_near(node: Object, topology_key: str, world: World) -> list[Object]:
    """Give the pods in the same topology domain as a node."""
    domain = labels_of(node).get(topology_key)
    if domain is None:
        return []
    near = [one for one in world.list("Node") if labels_of(one).get(topology_key) == domain]
    return [pod for one in near for pod in running_on(one, world)]


def tolerations_for(pod: Object, taint: Object) -> list[Object]:
    """Give the pod's tolerations that cover a taint."""
    return [item for item in pod["spec"].get("tolerations") or () if _tolerates(item, taint)]


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True  # without a key: every taint
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")
