"""matchLabelKeys and mismatchLabelKeys: rules about pods with the same labels as this one.

The API server writes them into the rule's labelSelector when a pod is created, so that nobody else
has to know them: `pod-template-hash` alone keeps the pods of two rollouts apart.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys and
https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from collections.abc import Iterator

from lab_utils.controlplane.status import Object

_OPERATORS = (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))


def merge_label_keys(pod: Object) -> None:
    """Write the pod's own labels into its affinity terms and spread constraints."""
    labels = pod["metadata"].get("labels") or {}
    for rule in _rules(pod["spec"]):
        selector = rule.get("labelSelector")
        added = [
            {"key": key, "operator": operator, "values": [labels[key]]}
            for field, operator in _OPERATORS
            for key in rule.get(field) or ()
            if key in labels
        ]
        if selector is not None and added:
            expressions = [*(selector.get("matchExpressions") or ()), *added]
            rule["labelSelector"] = selector | {"matchExpressions": expressions}


def _rules(spec: Object) -> Iterator[Object]:
    yield from spec.get("topologySpreadConstraints") or ()
    for kind in ("podAffinity", "podAntiAffinity"):
        given = (spec.get("affinity") or {}).get(kind) or {}
        yield from given.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for wish in given.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield wish["podAffinityTerm"]
