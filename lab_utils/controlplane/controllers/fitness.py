"""Whether a node can take a pod, and if not, why: the scheduler's filters.

Hides requests, taints and topology. The order and the words are Kubernetes': a node is refused by
the first filter that fails. Never reads anything but the world it was given.
Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from collections import Counter
from dataclasses import dataclass

from lab_utils.controlplane.controllers.objects import is_terminating, labels_of
from lab_utils.controlplane.controllers.selection import (
    matches,
    matches_node,
    meets,
    pods_near,
    rules,
    running_on,
    tolerations_for,
)
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.units import parse_quantity

Requests = Counter[str]
"""Resource name -> amount in thousandths of a core, byte or piece; what is not there is 0."""
MILLI = 1000


@dataclass(frozen=True)
class Refusal:
    """Why a node is refused; hopeless if even evicting all its pods would not help."""

    reasons: tuple[str, ...]
    hopeless: bool = True


UNSCHEDULABLE = Refusal(("node(s) were unschedulable",))
TAINTED = Refusal(("node(s) had untolerated taint(s)",))
NOT_SELECTED = Refusal(("node(s) didn't match Pod's node affinity/selector",))
UNSPREAD = Refusal(("node(s) didn't match pod topology spread constraints",), hopeless=False)
UNLABELLED = Refusal(
    ("node(s) didn't match pod topology spread constraints (missing required label)",)
)
NO_FRIEND = Refusal(("node(s) didn't match pod affinity rules",))
FOE = Refusal(("node(s) didn't match pod anti-affinity rules",), hopeless=False)
FOE_OF_OTHERS = Refusal(
    ("node(s) didn't satisfy existing pods anti-affinity rules",), hopeless=False
)


def refusal(pod: Object, node: Object, world: World) -> Refusal | None:
    """Give why a node is refused; None if the pod fits."""
    filters = (_taints, _selection, _room, _spread, _neighbours)
    return next((refused for check in filters if (refused := check(pod, node, world))), None)


def _taints(pod: Object, node: Object, _world: World) -> Refusal | None:
    unschedulable = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if node["spec"].get("unschedulable") and not tolerations_for(pod, unschedulable):
        return UNSCHEDULABLE
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not tolerations_for(pod, taint):
            return TAINTED
    return None


def _selection(pod: Object, node: Object, _world: World) -> Refusal | None:
    """Check nodeSelector and required node affinity."""
    wanted, labels = pod["spec"].get("nodeSelector") or {}, labels_of(node)
    terms = (rules(pod, "nodeAffinity", "required") or {}).get("nodeSelectorTerms")
    if wanted.items() <= labels.items() and (
        terms is None or any(matches_node(term, node) for term in terms)
    ):
        return None
    return NOT_SELECTED


def _room(pod: Object, node: Object, world: World) -> Refusal | None:
    residents, size, used = running_on(node, world), size_of(node), Requests()
    for resident in residents:
        used.update(requests_of(resident))
    reasons = ["Too many pods"] if (len(residents) + 1) * MILLI > size["pods"] else []
    asked = requests_of(pod)
    lacking = [name for name in asked if asked[name] + used[name] > size[name]]
    reasons += [f"Insufficient {resource}" for resource in lacking]
    hopeless = any(asked[name] > size[name] for name in lacking)
    return Refusal(tuple(reasons), hopeless) if reasons else None


def size_of(node: Object) -> Requests:
    """Give what a node has to offer."""
    return Requests(_amounts((node.get("status") or {}).get("allocatable")))


def requests_of(pod: Object) -> Requests:
    """Sum what a pod asks for: its containers together, or its hungriest init container."""
    total = Requests()
    for container in pod["spec"]["containers"]:
        total.update(_requests(container))
    for container in pod["spec"].get("initContainers") or ():
        total |= Requests(_requests(container))  # the larger of each
    return total


def _requests(container: Object) -> dict[str, int]:
    return _amounts((container.get("resources") or {}).get("requests"))


def _amounts(given: Object | None) -> dict[str, int]:
    return {name: int(parse_quantity(text) * MILLI) for name, text in (given or {}).items()}


def _spread(pod: Object, node: Object, world: World) -> Refusal | None:
    given = pod["spec"].get("topologySpreadConstraints") or ()
    hard = [one for one in given if one["whenUnsatisfiable"] == "DoNotSchedule"]
    keys = {constraint["topologyKey"] for constraint in hard}
    if not keys <= labels_of(node).keys():
        return UNLABELLED
    for constraint in hard:
        counts = _counts(pod, constraint, keys, world)
        enough = len(counts) >= constraint.get("minDomains", 1)
        fewest = min(counts.values(), default=0) if enough else 0
        here = counts.get(labels_of(node)[constraint["topologyKey"]], 0)
        itself = matches(constraint.get("labelSelector"), labels_of(pod))
        if here + itself - fewest > constraint["maxSkew"]:
            return UNSPREAD
    return None


def _counts(pod: Object, constraint: Object, keys: set[str], world: World) -> dict[str, int]:
    """Count matching pods in each domain that counts: by its labels, and by the policies."""
    namespace = pod["metadata"]["namespace"]
    counts: dict[str, int] = {}
    for node in world.list("Node"):
        labels = labels_of(node)
        if not keys <= labels.keys() or _is_passed_over(pod, node, constraint, world):
            continue
        near = [one for one in running_on(node, world) if not is_terminating(one)]
        alike = [one for one in near if one["metadata"]["namespace"] == namespace]
        found = sum(matches(constraint.get("labelSelector"), labels_of(one)) for one in alike)
        domain = labels[constraint["topologyKey"]]
        counts[domain] = counts.get(domain, 0) + found
    return counts


def _is_passed_over(pod: Object, node: Object, constraint: Object, world: World) -> bool:
    """Tell whether a node's pods do not count, because the pod could not go there anyway."""
    policies = (
        (("nodeAffinityPolicy", "Honor"), _selection),
        (("nodeTaintsPolicy", "Ignore"), _taints),
    )
    return any(
        constraint.get(*policy) == "Honor" and check(pod, node, world) is not None
        for policy, check in policies
    )


def _neighbours(pod: Object, node: Object, world: World) -> Refusal | None:
    wished = rules(pod, "podAffinity", "required") or ()
    if not all(_has_friend(term, pod, node, world) for term in wished):
        return NO_FRIEND
    for term in rules(pod, "podAntiAffinity", "required") or ():
        if _near(term, pod, node, world):
            return FOE
    shunned = any(_shuns(other, pod, node, world) for other in world.list("Pod"))
    return FOE_OF_OTHERS if shunned else None


def _near(term: Object, pod: Object, node: Object, world: World) -> bool:
    """Tell whether a pod that the term means is in the node's domain."""
    near = pods_near(node, term["topologyKey"], world)
    return any(meets(term, pod, other, world) for other in near)


def _shuns(other: Object, pod: Object, node: Object, world: World) -> bool:
    """Tell whether another pod's anti-affinity keeps this one from the node."""
    terms = rules(other, "podAntiAffinity", "required") or ()
    return any(
        meets(term, other, pod, world) and other in pods_near(node, term["topologyKey"], world)
        for term in terms
    )


def _has_friend(term: Object, pod: Object, node: Object, world: World) -> bool:
    if _near(term, pod, node, world):
        return True
    # the first of a group that wants to be together may go anywhere
    placed = [other for one in world.list("Node") for other in running_on(one, world)]
    is_first = not any(meets(term, pod, other, world) for other in placed)
    return is_first and meets(term, pod, pod, world) and term["topologyKey"] in labels_of(node)
