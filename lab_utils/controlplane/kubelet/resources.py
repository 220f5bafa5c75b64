"""Requests and limits: of a container in units, of a pod as a sum, and the class they make."""

from collections.abc import Iterable
from decimal import Decimal

from lab_utils.controlplane.kubelet.cgroup import Limits
from lab_utils.controlplane.quantities import canonical_quantity
from lab_utils.controlplane.status import Object
from lab_utils.units import parse_bytes, parse_cores, parse_quantity


def limits_of(container: Object) -> Limits:
    """Read resources.limits of a container."""
    limits = container.get("resources", {}).get("limits", {})
    return Limits(
        cores=parse_cores(limits["cpu"]) if "cpu" in limits else None,
        memory_bytes=parse_bytes(limits["memory"]) if "memory" in limits else None,
    )


def pod_resources(spec: Object) -> Object:
    """Add up what the containers of a pod ask for, as status.resources has it."""
    requests = _total(c.get("resources", {}).get("requests", {}) for c in spec["containers"])
    limits = _total(c.get("resources", {}).get("limits", {}) for c in spec["containers"])
    sums = {name: total for name, total in (("limits", limits), ("requests", requests)) if total}
    found: Object = {"allocatedResources": requests} if requests else {}
    return found | ({"resources": sums} if sums else {})


def qos_class(spec: Object) -> str:
    """Tell Guaranteed, Burstable or BestEffort.

    Source:
        https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    resources = [c.get("resources", {}) for c in spec["containers"]]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= r.get("limits", {}).keys()
        and r.get("requests", r["limits"]) == r["limits"]
        for r in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _total(lists: Iterable[dict[str, str]]) -> dict[str, str]:
    gathered: dict[str, list[str]] = {}
    for quantities in lists:
        for name, quantity in quantities.items():
            gathered.setdefault(name, []).append(str(quantity))
    return {name: _sum(quantities) for name, quantities in gathered.items()}


def _sum(quantities: list[str]) -> str:
    if len(quantities) == 1:
        return quantities[0]
    total = sum((parse_quantity(text) for text in quantities), Decimal(0))
    binary = any(text.endswith("i") for text in quantities)
    return canonical_quantity(f"{total / 1024}Ki" if binary else total)
