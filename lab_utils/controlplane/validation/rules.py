"""The rules of each kind: what must hold always, of a new object, of a change.

Source:
    k8s.io/kubernetes/pkg/apis/<group>/validation
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes
from lab_utils.controlplane.validation.configuration import (
    config_map_causes,
    data_is_kept,
    secret_causes,
)
from lab_utils.controlplane.validation.metadata import metadata_causes, pod_security_causes
from lab_utils.controlplane.validation.networking import (
    address_type_is_kept,
    cluster_ip_is_kept,
    network_policy_causes,
    service_causes,
    slice_causes,
)
from lab_utils.controlplane.validation.pods import pod_causes, pod_update_causes
from lab_utils.controlplane.validation.workloads import (
    budget_causes,
    deployment_causes,
    deployment_update_causes,
    replica_set_causes,
    selector_is_immutable,
)

Check = Callable[[Object], Iterator[Cause]]
Comparison = Callable[[Object, Object], Iterator[Cause]]


def validate(kind: str, new: Object, old: Object | None) -> list[Cause]:
    """Find what is wrong with an object.

    Args:
        kind: A served kind.
        new: The object, defaults filled in.
        old: What it takes the place of; None for a create.

    Returns:
        One cause per mistake, in Kubernetes' order; empty when all is well.
    """
    found = list(metadata_causes(kind, new.get("metadata", {})))
    if kind in _ALWAYS:
        found += _ALWAYS[kind](new)
    if old is None and kind in _WHEN_MADE:
        found += _WHEN_MADE[kind](new)
    if old is not None and kind in _WHEN_CHANGED:
        found += _WHEN_CHANGED[kind](new, old)
    return found


def _lease_causes(new: Object) -> Iterator[Cause]:
    spec = new.get("spec", {})
    duration_s = spec.get("leaseDurationSeconds")
    if duration_s is not None and duration_s <= 0:
        yield causes.invalid("spec.leaseDurationSeconds", duration_s, "must be greater than 0")
    yield from causes.at_least_zero("spec.leaseTransitions", spec.get("leaseTransitions"))


def _event_causes(new: Object) -> Iterator[Cause]:
    about = new.get("involvedObject", {}).get("namespace", "")
    namespace = new.get("metadata", {}).get("namespace", "")
    if about != namespace and not (about == "" and namespace == "default"):
        why = "does not match event.namespace"
        yield causes.invalid("involvedObject.namespace", about, why)


def _namespace_causes(new: Object) -> Iterator[Cause]:
    yield from pod_security_causes(new.get("metadata", {}).get("labels", {}))


def _pod_network_is_kept(new: Object, old: Object) -> Iterator[Cause]:
    before = old.get("spec", {}).get("podCIDR")
    if before and new.get("spec", {}).get("podCIDR") != before:
        why = 'node updates may not change podCIDR except from "" to valid'
        yield causes.forbidden("spec.podCIDRs", why)


_ALWAYS: Mapping[str, Check] = MappingProxyType({
    "ConfigMap": config_map_causes, "Deployment": deployment_causes,
    "EndpointSlice": slice_causes, "Event": _event_causes, "Lease": _lease_causes,
    "Namespace": _namespace_causes, "NetworkPolicy": network_policy_causes,
    "PodDisruptionBudget": budget_causes, "ReplicaSet": replica_set_causes,
    "Secret": secret_causes, "Service": service_causes,
})  # fmt: skip
_WHEN_MADE: Mapping[str, Check] = MappingProxyType({"Pod": pod_causes})
_WHEN_CHANGED: Mapping[str, Comparison] = MappingProxyType({
    "ConfigMap": data_is_kept, "Deployment": deployment_update_causes,
    "EndpointSlice": address_type_is_kept, "Node": _pod_network_is_kept,
    "Pod": pod_update_causes, "ReplicaSet": selector_is_immutable, "Secret": data_is_kept,
    "Service": cluster_ip_is_kept,
})  # fmt: skip
