"""Which pods, nodes and taints a rule means, in the rules' own wire form.

Hides the operators (they are `selectors`'). Never reads anything but its arguments.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/ and
https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from collections.abc import Mapping

from lab_utils.controlplane.controllers.objects import labels_of
from lab_utils.controlplane.selectors import Requirement, label_selector
from lab_utils.controlplane.status import Object


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a LabelSelector selects these labels: {} selects all, None nothing."""
    return selector is not None and label_selector(selector).matches(labels)


def matches_node(term: Object, node: Object) -> bool:
    """Tell whether a NodeSelectorTerm selects a node; a term without any requirement does not."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": node["metadata"]["name"]}
    return all(_requirement(rule).matches(labels_of(node)) for rule in expressions) and all(
        _requirement(rule).matches(names) for rule in fields
    )


def _requirement(rule: Object) -> Requirement:
    return Requirement(rule["key"], rule["operator"], tuple(rule.get("values") or ()))


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
