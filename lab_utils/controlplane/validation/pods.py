"""Which pods are right, and what may be changed of one.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (validation.go), whose order and texts these are.
"""

import difflib
import json
from collections.abc import Iterator

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.containers import (
    PodFacts,
    container_causes,
    host_port_causes,
    identity_causes,
    local_path_causes,
)
from lab_utils.controlplane.validation.metadata import (
    annotation_causes,
    expression_causes,
    label_causes,
    selector_causes,
)

_RESTARTS = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED, _PREFERRED = (
    f"{how}DuringSchedulingIgnoredDuringExecution" for how in ("required", "preferred")
)
_UPDATES_FORBIDDEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def template_causes(template: Object, field: str) -> Iterator[Cause]:
    """Check the template of a workload's pods."""
    metadata = template.get("metadata", {})
    yield from label_causes(metadata.get("labels"), f"{field}.metadata.labels")
    yield from annotation_causes(metadata.get("annotations"), f"{field}.metadata.annotations")
    yield from spec_causes(template.get("spec", {}), f"{field}.spec")


def pod_causes(pod: Object) -> Iterator[Cause]:
    """Check a new pod."""
    yield from spec_causes(pod.get("spec", {}), "spec")
    if pod.get("spec", {}).get("ephemeralContainers"):
        yield causes.forbidden("spec.ephemeralContainers", "cannot be set on create")


def spec_causes(spec: Object, field: str) -> Iterator[Cause]:
    """Check a pod's spec."""
    bad_volumes = list(_volume_list_causes(spec.get("volumes", []), f"{field}.volumes"))
    yield from bad_volumes
    wrong = {cause.field.split("]")[0] for cause in bad_volumes}
    usable = [
        volume.get("name")
        for i, volume in enumerate(spec.get("volumes", []))
        if f"{field}.volumes[{i}" not in wrong
    ]
    yield from _container_list_causes(spec, field, PodFacts(usable, spec.get("hostUsers", True)))
    yield from causes.choice(f"{field}.restartPolicy", spec.get("restartPolicy"), _RESTARTS)
    yield from causes.choice(f"{field}.dnsPolicy", spec.get("dnsPolicy"), _DNS)
    yield from label_causes(spec.get("nodeSelector"), f"{field}.nodeSelector")
    yield from _security_causes(spec, f"{field}.securityContext")
    yield from _affinity_causes(spec.get("affinity", {}), f"{field}.affinity")
    yield from _spread_causes(spec, f"{field}.topologySpreadConstraints")
    deadline_s = spec.get("activeDeadlineSeconds")
    if deadline_s is not None and not 1 <= deadline_s <= 2**31 - 1:
        why = f"must be between 1 and {2**31 - 1}, inclusive"
        yield causes.invalid(f"{field}.activeDeadlineSeconds", deadline_s, why)
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            problems = formats.dns_label(spec[name])
            yield from causes.each_invalid(f"{field}.{name}", spec[name], problems)
    yield from toleration_list_causes(spec.get("tolerations", []), f"{field}.tolerations")
    for i, alias in enumerate(spec.get("hostAliases", [])):
        problems = formats.ip_address(alias.get("ip", ""))
        yield from causes.each_invalid(
            f"{field}.hostAliases[{i}].ip", alias.get("ip", ""), problems
        )
    if spec.get("nodeName") and spec.get("schedulingGates"):
        why = "cannot be set until all schedulingGates have been cleared"
        yield causes.forbidden(f"{field}.nodeName", why)


def _container_list_causes(spec: Object, field: str, facts: PodFacts) -> Iterator[Cause]:
    names: set[str] = set()
    if not spec.get("containers"):
        yield causes.required(f"{field}.containers")
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind, [])):
            at, name = f"{field}.{kind}[{i}]", container.get("name", "")
            yield from container_causes(container, at, facts)
            if name and name in names:
                yield causes.duplicate(f"{at}.name", name)
            names.add(name)
    yield from host_port_causes(spec.get("containers", []), f"{field}.containers")


def _volume_list_causes(volumes: list[Object], field: str) -> Iterator[Cause]:
    names: set[str] = set()
    for i, volume in enumerate(volumes):
        at, name = f"{field}[{i}]", volume.get("name", "")
        sources = [source for source in volume if source != "name"]
        if not name:
            yield causes.required(f"{at}.name")
        else:
            yield from causes.each_invalid(f"{at}.name", name, formats.dns_label(name))
        if name in names:
            yield causes.duplicate(f"{at}.name", name)
        names.add(name)
        for source in sorted(sources, key=lambda one: _VOLUME_ORDER.get(one, 9))[1:]:
            yield causes.forbidden(f"{at}.{source}", "may not specify more than 1 volume type")
        if len(sources) == 1:
            yield from _source_causes(sources[0], volume[sources[0]], f"{at}.{sources[0]}")


_VOLUME_ORDER = {
    "emptyDir": 0, "hostPath": 1, "secret": 2, "configMap": 3, "downwardAPI": 4, "projected": 5,
}  # fmt: skip


def _source_causes(kind: str, source: Object, field: str) -> Iterator[Cause]:
    if kind == "configMap" and not source.get("name"):
        yield causes.required(f"{field}.name")
    if kind == "secret" and not source.get("secretName"):
        yield causes.required(f"{field}.secretName")
    if kind == "emptyDir" and str(source.get("sizeLimit", "")).startswith("-"):
        why = "SizeLimit field must be a valid resource quantity"
        yield causes.forbidden(f"{field}.sizeLimit", why)
    if kind == "hostPath" and not source.get("path"):
        yield causes.required(f"{field}.path")
    elif kind == "hostPath" and ".." in source["path"].split("/"):
        yield causes.invalid(f"{field}.path", source["path"], "must not contain '..'")
    mode = source.get("defaultMode", 0)
    if not 0 <= mode <= 0o777:
        why = "must be a number between 0 and 0777 (octal), both inclusive"
        yield causes.invalid(f"{field}.defaultMode", mode, why)
    for i, item in enumerate(source.get("items", [])):
        yield from local_path_causes(item.get("path", ""), f"{field}.items[{i}].path")


def _security_causes(spec: Object, field: str) -> Iterator[Cause]:
    yield from identity_causes(spec.get("securityContext", {}), field)
    if spec.get("hostPID") and spec.get("shareProcessNamespace"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield causes.invalid(f"{field}.shareProcessNamespace", True, why)


def _affinity_causes(affinity: Object, field: str) -> Iterator[Cause]:
    node = affinity.get("nodeAffinity", {})
    terms = node.get(_REQUIRED, {}).get("nodeSelectorTerms", [])
    for i, term in enumerate(terms):
        at = f"{field}.nodeAffinity.{_REQUIRED}.nodeSelectorTerms[{i}]"
        yield from _node_term_causes(term, at)
    for i, wish in enumerate(node.get(_PREFERRED, [])):
        at = f"{field}.nodeAffinity.{_PREFERRED}[{i}]"
        yield from _weight_causes(wish, at)
        yield from _node_term_causes(wish.get("preference", {}), f"{at}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(kind, {})
        for i, term in enumerate(pods.get(_REQUIRED, [])):
            yield from _pod_term_causes(term, f"{field}.{kind}.{_REQUIRED}[{i}]")
        for i, wish in enumerate(pods.get(_PREFERRED, [])):
            at = f"{field}.{kind}.{_PREFERRED}[{i}]"
            yield from _weight_causes(wish, at)
            yield from _pod_term_causes(wish.get("podAffinityTerm", {}), f"{at}.podAffinityTerm")


def _weight_causes(wish: Object, field: str) -> Iterator[Cause]:
    weight = wish.get("weight", 0)
    if not 1 <= weight <= 100:
        yield causes.invalid(f"{field}.weight", weight, "must be in the range 1-100")


def _node_term_causes(term: Object, field: str) -> Iterator[Cause]:
    for i, rule in enumerate(term.get("matchExpressions", [])):
        yield from expression_causes(rule, f"{field}.matchExpressions[{i}]", compares=True)


def _pod_term_causes(term: Object, field: str) -> Iterator[Cause]:
    yield from selector_causes(term.get("labelSelector", {}), f"{field}.labelSelector")
    yield from _topology_key_causes(term.get("topologyKey", ""), f"{field}.topologyKey")


def _topology_key_causes(key: str, field: str) -> Iterator[Cause]:
    if not key:
        yield causes.required(field, "can not be empty")
    yield from causes.each_invalid(field, key, formats.qualified_name(key))


def _spread_causes(spec: Object, field: str) -> Iterator[Cause]:
    for i, rule in enumerate(spec.get("topologySpreadConstraints", [])):
        at = f"{field}[{i}]"
        if rule.get("maxSkew", 0) < 1:
            yield causes.invalid(
                f"{at}.maxSkew", rule.get("maxSkew", 0), "must be greater than zero"
            )
        yield from _topology_key_causes(rule.get("topologyKey", ""), f"{at}.topologyKey")
        actions = ("DoNotSchedule", "ScheduleAnyway")
        yield from causes.choice(
            f"{at}.whenUnsatisfiable", rule.get("whenUnsatisfiable", ""), actions
        )
        yield from selector_causes(rule.get("labelSelector", {}), f"{at}.labelSelector")


def toleration_list_causes(tolerations: list[Object], field: str) -> Iterator[Cause]:
    """Check what a pod puts up with."""
    for i, toleration in enumerate(tolerations):
        at, operator = f"{field}[{i}]", toleration.get("operator", "Equal")
        effect = toleration.get("effect", "")
        if toleration.get("key"):
            problems = formats.qualified_name(toleration["key"])
            yield from causes.each_invalid(f"{at}.key", toleration["key"], problems)
        elif operator != "Exists":
            why = (
                "operator must be Exists when `key` is empty, "
                'which means "match all values and all keys"'
            )
            yield causes.invalid(f"{at}.operator", operator, why)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield causes.invalid(f"{at}.effect", effect, why)
        yield from causes.choice(f"{at}.operator", operator, ("Equal", "Exists"))
        if operator == "Exists" and toleration.get("value"):
            why = "value must be empty when `operator` is 'Exists'"
            yield causes.invalid(f"{at}.operator", toleration["value"], why)
        if effect:
            yield from causes.choice(f"{at}.effect", effect, _EFFECTS)


def pod_update_causes(pod: Object, old: Object) -> Iterator[Cause]:
    """Check what was changed of a pod: images, deadlines and more tolerations, nothing else."""
    new_spec, old_spec = pod.get("spec", {}), old.get("spec", {})
    if new_spec == old_spec:
        return
    for kind in ("containers", "initContainers"):
        if len(new_spec.get(kind, [])) != len(old_spec.get(kind, [])):
            why = "pod updates may not add or remove containers"
            yield causes.forbidden(f"spec.{kind}", why)
            return
    before = _fixed_part(old_spec, old_spec)
    after = _fixed_part(new_spec, old_spec)
    if before != after:
        yield causes.forbidden("spec", f"{_UPDATES_FORBIDDEN}\n{_diff(before, after)}")


def _fixed_part(spec: Object, old: Object) -> Object:
    """Take away what may change: what is left must be equal."""
    kept = {key: value for key, value in spec.items() if key != "activeDeadlineSeconds"}
    for kind in ("containers", "initContainers"):
        if kind in kept:
            kept[kind] = [one | {"image": ""} for one in kept[kind]]
    if (
        old.get("terminationGracePeriodSeconds", 0) < 0
        and kept["terminationGracePeriodSeconds"] == 1
    ):
        kept["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    known = old.get("tolerations", [])
    if all(one in kept.get("tolerations", []) for one in known):
        kept["tolerations"] = known
    return kept


def _diff(before: Object, after: Object) -> str:
    old, new = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after))
    return "\n".join(list(difflib.unified_diff(old, new, lineterm=""))[2:]) + "\n"
