"""What may not be changed of an object that exists.

Source:
    k8s.io/kubernetes/pkg/apis/<group>/validation (the Validate...Update functions)
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes
from lab_utils.controlplane.validation.batch import changed_job
from lab_utils.controlplane.validation.checks import at_least_zero

Comparison = Callable[[Object, Object], Iterator[Cause]]
_POD_UPDATES_FORBIDDEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def new_finalizers(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse what would keep an object that is on its way out."""
    after, before = new.get("metadata", {}), old.get("metadata", {})
    added = sorted({*after.get("finalizers", [])} - {*before.get("finalizers", [])})
    if added and "deletionTimestamp" in before:
        listed = ", ".join(json.dumps(one) for one in added)
        why = "no new finalizers can be added if the object is being deleted"
        field = "metadata.finalizers"
        yield causes.forbidden(field, f"{why}, found new finalizers []string{{{listed}}}")


def _selector(new: Object, old: Object) -> Iterator[Cause]:
    selector = new["spec"].get("selector")
    if selector != old["spec"].get("selector"):
        yield causes.immutable("spec.selector", selector)


def _deployment(new: Object, old: Object) -> Iterator[Cause]:
    """Check the selector, and the counts that a controller wrote into the status."""
    yield from _selector(new, old)
    status = new.get("status", {})
    replicas = status.get("replicas", 0)
    yield from at_least_zero(replicas, "status.replicas")
    for name in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > replicas:
            why = "cannot be greater than status.replicas"
            yield causes.invalid(f"status.{name}", status.get(name, 0), why)


def _address_type(new: Object, old: Object) -> Iterator[Cause]:
    if new.get("addressType") != old.get("addressType"):
        yield causes.immutable("addressType", new.get("addressType"))


def _cluster_ip(new: Object, old: Object) -> Iterator[Cause]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    changes_kind = "ExternalName" in (old["spec"].get("type"), new["spec"].get("type"))
    if before and after and before != after and not changes_kind:
        yield causes.invalid("spec.clusterIPs[0]", [after], "may not change once set")


def _data(new: Object, old: Object) -> Iterator[Cause]:
    """Refuse another type of Secret, and any change of what is marked immutable."""
    if new.get("type") != old.get("type"):
        yield causes.immutable("type", new.get("type"))
    for field in ("immutable", "data", "binaryData") if old.get("immutable") else ():
        if new.get(field) != old.get(field):
            yield causes.forbidden(field, "field is immutable when `immutable` is set")


def _pod_network(new: Object, old: Object) -> Iterator[Cause]:
    before = old.get("spec", {}).get("podCIDR")
    if before and new.get("spec", {}).get("podCIDR") != before:
        why = 'node updates may not change podCIDR except from "" to valid'
        yield causes.forbidden("spec.podCIDRs", why)


def _pod(new: Object, old: Object) -> Iterator[Cause]:
    """Let images, deadlines and more tolerations through, nothing else."""
    new_spec, old_spec = new.get("spec", {}), old.get("spec", {})
    for kind in ("containers", "initContainers"):
        if len(new_spec.get(kind, ())) != len(old_spec.get(kind, ())):
            yield causes.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
            return
    before, after = _fixed_part(old_spec, old_spec), _fixed_part(new_spec, old_spec)
    if before != after:
        yield causes.forbidden("spec", f"{_POD_UPDATES_FORBIDDEN}\n{_diff(before, after)}")


def _fixed_part(spec: Object, old: Object) -> Object:
    """Take away what may change: what is left must be equal."""
    kept = {key: value for key, value in spec.items() if key != "activeDeadlineSeconds"}
    for kind in {"containers", "initContainers"} & set(kept):
        kept[kind] = [one | {"image": ""} for one in kept[kind]]
    known = old.get("tolerations", [])
    if all(one in kept.get("tolerations", []) for one in known):
        kept["tolerations"] = known
    return kept


def _diff(before: Object, after: Object) -> str:
    old, new = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after))
    return "\n".join(list(difflib.unified_diff(old, new, lineterm=""))[2:]) + "\n"


CHANGES: Mapping[str, Comparison] = MappingProxyType({
    "ConfigMap": _data, "Deployment": _deployment, "EndpointSlice": _address_type,
    "Job": changed_job, "Node": _pod_network, "Pod": _pod, "ReplicaSet": _selector, "Secret": _data,
    "Service": _cluster_ip,
})  # fmt: skip
"""Kind -> check of a new object against the one it takes the place of."""
