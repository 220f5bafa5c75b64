"""Which requests and limits are right: each for itself, and one against the other.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (ValidateResourceRequirements)
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes
from lab_utils.units import parse_quantity

_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def resource_causes(resources: Object, field: str) -> Iterator[Cause]:
    """Check requests and limits: each for itself, and one against the other."""
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in sorted(amounts):
            yield from _amount_causes(name, amounts[name], f"{field}.{side}[{name}]")
    for name in sorted(requests):
        yield from _against_limit(name, requests[name], limits, field)
    named = {*limits, *requests}
    if any(name.startswith("hugepages-") for name in named) and not {"cpu", "memory"} & named:
        yield causes.forbidden(field, "HugePages require cpu or memory")


def _is_extended(name: str) -> bool:
    return "/" in name and not name.startswith("kubernetes.io/")


def _amount_causes(name: str, amount: str, field: str) -> Iterator[Cause]:
    if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        yield causes.invalid(field, name, "must be a standard resource type or fully qualified")
        yield causes.invalid(field, name, "must be a standard resource for containers")
    value = parse_quantity(amount)
    if value < 0:
        yield causes.invalid(field, amount, causes.NON_NEGATIVE)
    if _is_extended(name) and value % 1:
        yield causes.invalid(field, amount, "must be an integer")


def _against_limit(name: str, request: str, limits: Object, field: str) -> Iterator[Cause]:
    limit = limits.get(name)
    if limit is None:
        if _is_extended(name):
            yield causes.required(
                f"{field}.limits", "Limit must be set for non overcommitable resources"
            )
        return
    wanted, allowed = parse_quantity(request), parse_quantity(limit)
    if _is_extended(name) and wanted != allowed:
        why = f"must be equal to {name} limit of {limit}"
        yield causes.invalid(f"{field}.requests", request, why)
    elif wanted > allowed:
        why = f"must be less than or equal to {name} limit of {limit}"
        yield causes.invalid(f"{field}.requests", request, why)
