"""Whether a node can take a pod, and if not, why: the scheduler's filters.

Hides requests, taints and topology. The order and the words are Kubernetes': a node is refused by
the first filter that fails. Never reads anything but the world it was given.
Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lab_utils.controlplane.controllers.objects import is_finished, is_terminating, labels_of
from lab_utils.controlplane.controllers.selection import matches, matches_node, tolerations_for
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.units import parse_quantity

Requests = dict[str, Decimal]
"""Resource name -> amount in cores, bytes or pieces."""
_NONE = Decimal(0)


@dataclass(frozen=True)
class Refusal:
    """Why a node is refused; hopeless if even evicting all its pods would not help."""

    reasons: tuple[str, ...]
    hopeless: bool = True


UNSCHEDULABLE = Refusal(("node(s) were unschedulable",))
TAINTED = Refusal(("node(s) had untolerated taint(s)",))
NOT_SELECTED = Refusal(("node(s) didn't match Pod's node affinity/selector",))
UNSPREAD = Refusal(("node(s) didn't match pod topology spread constraints",), hopeless=False)
NO_DOMAIN = Refusal(
    ("node(s) didn't match pod topology spread constraints (missing required label)",)
)
NO_FRIEND = Refusal(("node(s) didn't match pod affinity rules",))
FOE = Refusal(("node(s) didn't match pod anti-affinity rules",), hopeless=False)
FOE_OF_OTHERS = Refusal(
    ("node(s) didn't satisfy existing pods anti-affinity rules",), hopeless=False
)


def requests_of(pod: Object) -> Requests:
    """Sum what a pod asks for: its containers together, or its hungriest init container."""
    spec, total, peak = pod["spec"], Requests(), Requests()
    for container in spec["containers"]:
        _add(total, _requests(container))
    for container in spec.get("initContainers") or ():
        asked = _requests(container)
        if container.get("restartPolicy") == "Always":  # a sidecar stays beside what follows
            _add(total, asked)
        peak |= {name: max(amount, peak.get(name, _NONE)) for name, amount in asked.items()}
    return {name: max(total.get(name, _NONE), peak.get(name, _NONE)) for name in total | peak}


def _add(total: Requests, more: Requests) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, _NONE) + amount


def _requests(container: Object) -> Requests:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {resource: parse_quantity(amount) for resource, amount in asked.items()}


def running_on(node: Object, world: World) -> list[Object]:
    """Give the pods that take room on a node."""
    return [pod for pod in world.pods_on(node["metadata"]["name"]) if not is_finished(pod)]


def is_wanted_node(pod: Object, node: Object) -> bool:
    """Tell whether nodeSelector and required node affinity admit a node."""
    spec, labels = pod["spec"], labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    terms = (rules(pod, "nodeAffinity", "required") or {}).get("nodeSelectorTerms")
    return terms is None or any(matches_node(term, node) for term in terms)


def rules(pod: Object, affinity: str, strength: str) -> Any:
    """Give the "required" or "preferred" rules of one kind of affinity; None if there are none."""
    given = (pod["spec"].get("affinity") or {}).get(affinity) or {}
    return given.get(f"{strength}DuringSchedulingIgnoredDuringExecution")


def terms_of(pod: Object, affinity: str) -> list[Object]:
    """Give the required terms of podAffinity or podAntiAffinity."""
    return rules(pod, affinity, "required") or []


def meets(term: Object, holder: Object, other: Object, world: World) -> bool:
    """Tell whether a pod affinity term of holder means the other pod."""
    own, namespace = holder["metadata"]["namespace"], other["metadata"]["namespace"]
    names, selector = term.get("namespaces") or [], term.get("namespaceSelector")
    if not names and selector is None:
        names = [own]
    if namespace not in names:
        space = world.get("Namespace", "", namespace)
        if space is None or not matches(selector, labels_of(space)):
            return False
    return matches(term.get("labelSelector"), labels_of(other))


class Fitness:
    """One pod against the nodes; what all nodes share is worked out once."""

    def __init__(self, pod: Object, world: World) -> None:
        self._pod, self._world = pod, world
        self._requests = requests_of(pod)
        self._nodes = {node["metadata"]["name"]: node for node in world.list("Node")}
        self._placed = [
            (other, labels_of(node))
            for node in self._nodes.values()
            for other in running_on(node, world)
        ]

    def refusal(self, node: Object) -> Refusal | None:
        """Give why a node is refused; None if the pod fits."""
        checks: Iterable[Callable[[Object], Refusal | None]] = (
            self._taints, self._selection, self._room, self._spread, self._neighbours,
        )  # fmt: skip
        return next((refusal for check in checks if (refusal := check(node))), None)

    def _taints(self, node: Object) -> Refusal | None:
        unschedulable = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        if node["spec"].get("unschedulable") and not tolerations_for(self._pod, unschedulable):
            return UNSCHEDULABLE
        for taint in node["spec"].get("taints") or ():
            if taint["effect"] != "PreferNoSchedule" and not tolerations_for(self._pod, taint):
                return TAINTED
        return None

    def _selection(self, node: Object) -> Refusal | None:
        return None if is_wanted_node(self._pod, node) else NOT_SELECTED

    def _room(self, node: Object) -> Refusal | None:
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        size = {resource: parse_quantity(amount) for resource, amount in allocatable.items()}
        residents = running_on(node, self._world)
        used = Requests()
        for resident in residents:
            _add(used, requests_of(resident))
        reasons = ["Too many pods"] if len(residents) + 1 > size.get("pods", 0) else []
        lacking = {
            resource: amount
            for resource, amount in self._requests.items()
            if amount and amount + used.get(resource, _NONE) > size.get(resource, 0)
        }
        reasons += [f"Insufficient {resource}" for resource in lacking]
        hopeless = any(amount > size.get(resource, 0) for resource, amount in lacking.items())
        return Refusal(tuple(reasons), hopeless) if reasons else None

    def _spread(self, node: Object) -> Refusal | None:
        for constraint in self._pod["spec"].get("topologySpreadConstraints") or ():
            if constraint["whenUnsatisfiable"] != "DoNotSchedule":
                continue
            domain = labels_of(node).get(constraint["topologyKey"])
            if domain is None:
                return NO_DOMAIN
            counts = self._counts(constraint)
            itself = matches(constraint.get("labelSelector"), labels_of(self._pod))
            if counts[domain] + itself - min(counts.values()) > constraint["maxSkew"]:
                return UNSPREAD
        return None

    def _counts(self, constraint: Object) -> dict[str, int]:
        """Count matching pods in each domain that the pod could go to."""
        key, selector = constraint["topologyKey"], constraint.get("labelSelector")
        counts: dict[str, int] = {}
        for node in self._nodes.values():
            domain = labels_of(node).get(key)
            if domain is None or not is_wanted_node(self._pod, node):
                continue
            counts[domain] = counts.get(domain, 0) + sum(
                self._is_sibling(other) and matches(selector, labels_of(other))
                for other in running_on(node, self._world)
            )
        return counts

    def _is_sibling(self, other: Object) -> bool:
        same = other["metadata"]["namespace"] == self._pod["metadata"]["namespace"]
        return same and not is_terminating(other)

    def _neighbours(self, node: Object) -> Refusal | None:
        if not all(self._has_friend(term, node) for term in terms_of(self._pod, "podAffinity")):
            return NO_FRIEND
        labels = labels_of(node)
        for term in terms_of(self._pod, "podAntiAffinity"):
            for other, place in self._placed:
                if _same_domain(term, labels, place) and self._means(term, other):
                    return FOE
        for other, place in self._placed:
            for term in terms_of(other, "podAntiAffinity"):
                if _same_domain(term, labels, place) and meets(term, other, self._pod, self._world):
                    return FOE_OF_OTHERS
        return None

    def _means(self, term: Object, other: Object) -> bool:
        return meets(term, self._pod, other, self._world)

    def _has_friend(self, term: Object, node: Object) -> bool:
        labels = labels_of(node)
        friends = [place for other, place in self._placed if self._means(term, other)]
        if not friends:  # the first of a group that wants to be together may go anywhere
            return term["topologyKey"] in labels and self._means(term, self._pod)
        return any(_same_domain(term, labels, place) for place in friends)


def _same_domain(term: Object, labels: dict[str, str], place: dict[str, str]) -> bool:
    domain = labels.get(term["topologyKey"])
    return domain is not None and domain == place.get(term["topologyKey"])
