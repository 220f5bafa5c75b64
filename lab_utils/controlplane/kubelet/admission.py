"""Whether a node takes a pod that is bound to it: the kubelet's own look at what is left.

The scheduler has looked before; a pod that names its node itself was seen by nobody. Source:
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename
"""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from lab_utils.controlplane.status import Object
from lab_utils.units import parse_quantity

_UNITS = {"cpu": Decimal(1000), "memory": Decimal(1), "pods": Decimal(1)}
"""What the kubelet counts in: thousandths of a core, bytes, pieces."""


def refusal(
    pod: Object, others: Iterable[Object], capacity: Mapping[str, str]
) -> tuple[str, str] | None:
    """Give reason and message of a pod's refusal; None if there is room beside the others."""
    others = list(others)
    for resource, unit in _UNITS.items():
        asked = _asked(pod, resource) * unit
        used = sum((_asked(other, resource) * unit for other in others), Decimal())
        there = parse_quantity(capacity[resource]) * unit
        if asked and asked + used > there:
            numbers = [math.ceil(number) for number in (asked, used, there)]
            wanted = f"requested: {numbers[0]}, used: {numbers[1]}, capacity: {numbers[2]}"
            why = f"Node didn't have enough resource: {resource}, {wanted}"
            return f"OutOf{resource}", f"Pod was rejected: {why}"
    return None


def _asked(pod: Object, resource: str) -> Decimal:
    """Give what a pod asks for: init containers run alone, sidecars beside all after them."""
    if resource == "pods":
        return Decimal(1)
    lasting, most = Decimal(), Decimal()
    for container in pod["spec"].get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            lasting += _request(container, resource)
        most = max(most, lasting + _request(container, resource))
    main = (_request(container, resource) for container in pod["spec"]["containers"])
    return max(most, lasting + sum(main, Decimal()))


def _request(container: Object, resource: str) -> Decimal:
    return parse_quantity(container.get("resources", {}).get("requests", {}).get(resource, "0"))
