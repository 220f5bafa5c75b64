"""Which of the nodes that can take a pod suits it best: the scheduler's scores.

Hides the weights. Ours, in Kubernetes' order of strength: every wish is measured on one scale from
the worst node (0) to the best (100), and what is stated outweighs what is only sensible.
Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from collections.abc import Sequence

from lab_utils.controlplane.controllers.fitness import MILLI, requests_of, size_of
from lab_utils.controlplane.controllers.objects import controller_of, is_terminating, labels_of
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

_UNSTATED = {"cpu": MILLI // 10, "memory": 200 * 2**20 * MILLI}
"""What a pod without requests counts as, or empty-handed pods would all land on one node."""
_BY_DEFAULT: tuple[Object, ...] = ({"topologyKey": "kubernetes.io/hostname"},)
"""Pods of one owner are spread when they do not say how."""


def scores(pod: Object, nodes: Sequence[Object], world: World) -> list[float]:
    """Give each node's total, in the nodes' order; the highest wins."""
    totals = [_free_share(pod, node, world) for node in nodes]
    for weight, wish in ((3, _soft_taints), (2, _node_affinity), (2, _pod_affinity), (1, _spread)):
        met = [wish(pod, node, world) for node in nodes]
        worst, span = min(met), max(met) - min(met)
        for i, value in enumerate(met) if span else ():
            totals[i] += weight * 100 * (value - worst) / span
    return totals


def _soft_taints(pod: Object, node: Object, _world: World) -> int:
    taints = node["spec"].get("taints") or ()
    soft = [taint for taint in taints if taint["effect"] == "PreferNoSchedule"]
    return -sum(not tolerations_for(pod, taint) for taint in soft)


def _node_affinity(pod: Object, node: Object, _world: World) -> int:
    wishes = rules(pod, "nodeAffinity", "preferred") or ()
    return sum(wish["weight"] for wish in wishes if matches_node(wish["preference"], node))


def _pod_affinity(pod: Object, node: Object, world: World) -> int:
    """Weigh the pods in the node's domain that are wished near, minus those wished away."""
    total = 0
    for sign, affinity in ((1, "podAffinity"), (-1, "podAntiAffinity")):
        for wish in rules(pod, affinity, "preferred") or ():
            term = wish["podAffinityTerm"]
            near = pods_near(node, term["topologyKey"], world)
            total += sign * wish["weight"] * sum(meets(term, pod, other, world) for other in near)
    return total


def _spread(pod: Object, node: Object, world: World) -> int:
    """Count the pods like this one in the domains of a node that it would rather be spread over."""
    given = pod["spec"].get("topologySpreadConstraints")
    soft = [one for one in given or () if one["whenUnsatisfiable"] == "ScheduleAnyway"]
    alike = 0
    for constraint in soft if given else _BY_DEFAULT:
        near = pods_near(node, constraint["topologyKey"], world)
        alike += sum(_is_alike(pod, other, constraint) for other in near)
    return -alike


def _is_alike(pod: Object, other: Object, constraint: Object) -> bool:
    if is_terminating(other):
        return False
    if "labelSelector" not in constraint:
        owner = controller_of(pod)
        return owner is not None and controller_of(other) == owner
    same = other["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return same and matches(constraint["labelSelector"], labels_of(other))


def _free_share(pod: Object, node: Object, world: World) -> float:
    """Give the mean free share of CPU and memory once the pod is there."""
    size, residents = size_of(node), [requests_of(one) for one in (*running_on(node, world), pod)]
    shares = []
    for resource, unstated in _UNSTATED.items():
        used = sum(asked[resource] or unstated for asked in residents)
        shares.append(max(0.0, 1 - used / size[resource]) if size[resource] else 0.0)
    return 100 * sum(shares) / len(shares)
