"""Which metadata, labels and selectors are right: what every kind has in common.

Source:
    k8s.io/apimachinery/pkg/api/validation (objectmeta.go) and pkg/apis/meta/v1/validation
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import Rows, annotations, each, labels, text

_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")
_qualified = text(formats.qualified_name, absent="")


def _finalizer(name: str, at: str) -> Iterator[Cause]:
    problems = list(_qualified(name, at))
    yield from problems
    if not problems and "/" not in name and name not in _STANDARD_FINALIZERS:
        why = "name is neither a standard finalizer name nor is it fully qualified"
        yield causes.invalid(at, name, why)


def _owners(references: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check ownerReferences; Kubernetes names no index."""
    references = references or []
    for owner in references:
        if not owner.get("apiVersion"):
            yield causes.invalid(f"{at}.apiVersion", "", "version must not be empty")
        for part in ("kind", "name", "uid"):
            if not owner.get(part):
                yield causes.invalid(f"{at}.{part}", "", "must not be empty")
    controllers = [f"{o.get('kind')}/{o.get('name')}" for o in references if o.get("controller")]
    if len(controllers) > 1:
        why = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {" and ".join(controllers[:2])}'
        )
        yield causes.invalid(at, references, why)


def requirement(rule: Object, at: str) -> Iterator[Cause]:
    """Check the operator and values of one condition of a label selector."""
    operator, values = rule.get("operator"), rule.get("values")
    if operator in ("In", "NotIn"):
        if not values:
            why = "must be specified when `operator` is 'In' or 'NotIn'"
            yield causes.required(f"{at}.values", why)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield causes.forbidden(f"{at}.values", why)
    else:
        yield causes.invalid(f"{at}.operator", operator or "", "not a valid selector operator")


def _node_requirement(rule: Object, at: str) -> Iterator[Cause]:
    """Check one condition of a node selector, which may also compare numbers."""
    if rule.get("operator") not in ("Gt", "Lt"):
        yield from requirement(rule, at)
    elif len(rule.get("values", ())) != 1:
        why = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        yield causes.required(f"{at}.values", why)


METADATA: Rows = {
    "V1ObjectMeta": {
        "labels": labels, "annotations": annotations, "ownerReferences": _owners,
        "finalizers": each(_finalizer),
    },
    "V1LabelSelector": {"matchLabels": labels},
    "V1LabelSelectorRequirement": {"": requirement, "key": _qualified},
    "V1NodeSelectorRequirement": {"": _node_requirement, "key": _qualified},
}  # fmt: skip
