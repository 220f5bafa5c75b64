"""Which of the nodes that can take a pod suits it best: the scheduler's scores.

Hides the weights, which are Kubernetes' defaults. Each score is 0 to 100 before it is weighed.
Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

import math
from collections.abc import Sequence
from decimal import Decimal

from lab_utils.controlplane.controllers.fitness import meets, requests_of, rules, running_on
from lab_utils.controlplane.controllers.objects import controller_of, is_terminating, labels_of
from lab_utils.controlplane.controllers.selection import matches, matches_node, tolerations_for
from lab_utils.controlplane.controllers.world import World
from lab_utils.controlplane.status import Object
from lab_utils.units import parse_quantity

Scores = list[float]
"""One per node, in the nodes' order."""
_UNSTATED = {"cpu": Decimal("0.1"), "memory": Decimal(200 * 2**20)}
"""What a pod without requests counts as, or empty-handed pods would all land on one node."""
_BY_DEFAULT: tuple[Object, ...] = ({"topologyKey": "kubernetes.io/hostname", "maxSkew": 3},)
"""How pods of one owner are spread when they do not say: gently, any stated wish is stronger."""


class Preference:
    """One pod and the nodes that could take it."""

    def __init__(self, pod: Object, nodes: Sequence[Object], world: World) -> None:
        self._pod, self._nodes, self._world = pod, nodes, world

    def scores(self) -> Scores:
        """Give each node's total; the highest wins."""
        weighed = (
            (3, _fewest([self._avoided_taints(node) for node in self._nodes])),
            (2, _up_to_most([self._node_affinity(node) for node in self._nodes])),
            (2, _between([self._pod_affinity(node) for node in self._nodes])),
            (2, _least_crowded([self._crowding(node) for node in self._nodes])),
            (1, [self._free_share(node) for node in self._nodes]),
        )
        return [
            sum(weight * scores[i] for weight, scores in weighed) for i in range(len(self._nodes))
        ]

    def _avoided_taints(self, node: Object) -> float:
        taints = node["spec"].get("taints") or ()
        soft = [taint for taint in taints if taint["effect"] == "PreferNoSchedule"]
        return sum(not tolerations_for(self._pod, taint) for taint in soft)

    def _node_affinity(self, node: Object) -> float:
        wishes = self._preferred("nodeAffinity")
        met = [wish["weight"] for wish in wishes if matches_node(wish["preference"], node)]
        return float(sum(met))

    def _preferred(self, affinity: str) -> list[Object]:
        return rules(self._pod, affinity, "preferred") or []

    def _pod_affinity(self, node: Object) -> float:
        """Weigh the pods in the node's domain that are wished near, minus those wished away."""
        wishes = [(wish, wish["weight"]) for wish in self._preferred("podAffinity")]
        wishes += [(wish, -wish["weight"]) for wish in self._preferred("podAntiAffinity")]
        total = 0.0
        for wish, weight in wishes:
            term = wish["podAffinityTerm"]
            others = self._neighbours(node, term["topologyKey"])
            total += weight * sum(meets(term, self._pod, one, self._world) for one in others)
        return total

    def _neighbours(self, node: Object, topology_key: str) -> list[Object]:
        """Give the pods in the same topology domain as a node."""
        domain = labels_of(node).get(topology_key)
        if domain is None:
            return []
        nodes = self._world.list("Node")
        near = [one for one in nodes if labels_of(one).get(topology_key) == domain]
        return [pod for one in near for pod in running_on(one, self._world)]

    def _crowding(self, node: Object) -> float:
        """Count like pods in the node's domains, less strictly where more skew is allowed."""
        stated = self._pod["spec"].get("topologySpreadConstraints")
        total = 0.0
        for constraint in stated or _BY_DEFAULT:
            if constraint.get("whenUnsatisfiable") == "DoNotSchedule":
                continue
            key = constraint["topologyKey"]
            domains = {labels_of(one).get(key) for one in self._nodes}
            alike = sum(self._is_alike(one, constraint) for one in self._neighbours(node, key))
            total += alike * math.log(len(domains) + 2) + constraint["maxSkew"] - 1
        return round(total)

    def _is_alike(self, other: Object, constraint: Object) -> bool:
        if is_terminating(other):
            return False
        if "labelSelector" not in constraint:
            owner = controller_of(self._pod)
            return owner is not None and controller_of(other) == owner
        same = other["metadata"]["namespace"] == self._pod["metadata"]["namespace"]
        return same and matches(constraint["labelSelector"], labels_of(other))

    def _free_share(self, node: Object) -> float:
        """Give the mean free share of CPU and memory once the pod is there."""
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        residents = [requests_of(pod) for pod in (*running_on(node, self._world), self._pod)]
        shares = []
        for resource, unstated in _UNSTATED.items():
            size = parse_quantity(allocatable.get(resource, 0))
            used = sum((asked.get(resource) or unstated for asked in residents), Decimal(0))
            shares.append(max(Decimal(0), 1 - used / size) if size else Decimal(0))
        return float(100 * sum(shares) / len(shares))


def _up_to_most(raw: Scores) -> Scores:
    most = max(raw)
    return [100 * value / most if most else 0.0 for value in raw]


def _between(raw: Scores) -> Scores:
    least, span = min(raw), max(raw) - min(raw)
    return [100 * (value - least) / span if span else 0.0 for value in raw]


def _fewest(raw: Scores) -> Scores:
    most = max(raw)
    return [100 * (most - value) / most if most else 100.0 for value in raw]


def _least_crowded(raw: Scores) -> Scores:
    most, least = max(raw), min(raw)
    return [100 * (most + least - value) / most if most else 100.0 for value in raw]
