"""Which pods are right, from their volumes to their tolerations.

Source:
    k8s.io/kubernetes/pkg/apis/core/validation (validation.go), whose texts these are.
"""

from collections.abc import Iterator
from typing import Any

from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import (
    Rows,
    any_value,
    distinct,
    each,
    labels,
    needed,
    number,
    one_of,
    repeated,
    text,
    unless_empty,
)
from lab_utils.controlplane.validation.containers import sleeping_hooks

_MAX_INT32 = 2**31 - 1
_LASTING = {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"}
_DOWNWARD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels",
    "metadata.annotations",
)  # fmt: skip


def _pod_spec(spec: Object, at: str) -> Iterator[Cause]:
    containers = [
        (container, f"{at}.{kind}[{i}]")
        for kind in ("containers", "initContainers")
        for i, container in enumerate(spec.get(kind, ()))
    ]
    yield from repeated((one.get("name"), f"{field}.name") for one, field in containers)
    yield from repeated(
        (_host_port(port), f"{at}.containers[{i}].ports[{j}].hostPort")
        for i, container in enumerate(spec.get("containers", ()))
        for j, port in enumerate(container.get("ports", ()))
    )
    if spec.get("hostNetwork"):
        yield from _host_ports(spec, at)
    if spec.get("dnsPolicy") == "None" and not spec.get("dnsConfig", {}).get("nameservers"):
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield causes.required(f"{at}.dnsConfig.nameservers", why)
    if spec.get("hostPID") and spec.get("shareProcessNamespace"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield causes.invalid(f"{at}.securityContext.shareProcessNamespace", True, why)
    if spec.get("nodeName") and spec.get("schedulingGates"):
        why = "cannot be set until all schedulingGates have been cleared"
        yield causes.forbidden(f"{at}.nodeName", why)
    yield from _plain_init_containers(spec, at)
    yield from sleeping_hooks(spec, at)
    # A volume of two kinds counts as none.
    volumes = [one.get("name") for one in spec.get("volumes", ()) if len(one) <= 2]
    for container, field in containers:
        for i, mount in enumerate(container.get("volumeMounts", ())):
            if mount.get("name") and mount["name"] not in volumes:
                yield causes.not_found(f"{field}.volumeMounts[{i}].name", mount["name"])


def _host_ports(spec: Object, at: str) -> Iterator[Cause]:
    for i, container in enumerate(spec.get("containers", ())):
        for j, port in enumerate(container.get("ports", ())):
            if port.get("hostPort", port.get("containerPort")) != port.get("containerPort"):
                why = "must match `hostPort` when `hostNetwork` is true"
                field = f"{at}.containers[{i}].ports[{j}].containerPort"
                yield causes.invalid(field, port.get("containerPort"), why)


def _plain_init_containers(spec: Object, at: str) -> Iterator[Cause]:
    """Refuse hooks and probes where a container ends before they could matter."""
    for i, container in enumerate(spec.get("initContainers", ())):
        if container.get("restartPolicy") != "Always":
            for name in sorted(_LASTING & set(container)):
                why = "may not be set for init containers without restartPolicy=Always"
                yield causes.forbidden(f"{at}.initContainers[{i}].{name}", why)


def _host_port(port: Object) -> str:
    number, protocol = port.get("hostPort"), port.get("protocol", "TCP")
    return f"{protocol}/{port.get('hostIP', '')}/{number}" if number else ""


def _projection(source: Object, at: str) -> Iterator[Cause]:
    for kind in [*source][1:]:
        yield causes.forbidden(f"{at}.{kind}", "may not specify more than 1 volume type")


def _downward_file(item: Object, at: str) -> Iterator[Cause]:
    given = {"fieldRef", "resourceFieldRef"} & set(item)
    if not given:
        yield causes.required(at, "one of fieldRef and resourceFieldRef is required")
    elif len(given) == 2:
        why = "fieldRef and resourceFieldRef can not be specified simultaneously"
        yield causes.invalid(at, "resource", why)
    path = item.get("fieldRef", {}).get("fieldPath", "")
    if "fieldRef" in given and path.partition("[")[0] not in _DOWNWARD_PATHS:
        why = f"error converting fieldPath: field label not supported: {path}"
        yield causes.invalid(f"{at}.fieldRef.fieldPath", path, why)


def _spread(constraints: list[Object] | None, at: str) -> Iterator[Cause]:
    yield from repeated(
        (f"{{{one.get('topologyKey')}, {one.get('whenUnsatisfiable')}}}",
         f"{at}[{i}].{{topologyKey, whenUnsatisfiable}}")
        for i, one in enumerate(constraints or ())
    )  # fmt: skip


def _spread_domains(one: Object, at: str) -> Iterator[Cause]:
    least, otherwise = one.get("minDomains"), one.get("whenUnsatisfiable")
    if least is not None and otherwise != "DoNotSchedule":
        why = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {otherwise}"
        yield causes.invalid(f"{at}.minDomains", least, why)


def _volume(one: Object, at: str) -> Iterator[Cause]:
    for kind in [kind for kind in one if kind != "name"][1:]:
        yield causes.forbidden(f"{at}.{kind}", "may not specify more than 1 volume type")


def _size_limit(amount: str | None, at: str) -> Iterator[Cause]:
    if amount and amount.startswith("-"):
        yield causes.forbidden(at, "SizeLimit field must be a valid resource quantity")


def _ephemeral(containers: Any, at: str) -> Iterator[Cause]:
    if containers:
        yield causes.forbidden(at, "cannot be set on create")


def _security_context(security: Object, at: str) -> Iterator[Cause]:
    if security.get("privileged") and security.get("allowPrivilegeEscalation") is False:
        why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield causes.invalid(at, security, why)


def _seccomp_profile(profile: Object, at: str) -> Iterator[Cause]:
    if profile.get("type") == "Localhost" and not profile.get("localhostProfile"):
        why = "must be set when seccomp type is Localhost"
        yield causes.required(f"{at}.localhostProfile", why)
    elif profile.get("type") != "Localhost" and profile.get("localhostProfile"):
        why = "can only be set when seccomp type is Localhost"
        yield causes.invalid(f"{at}.localhostProfile", profile["localhostProfile"], why)


def _toleration(one: Object, at: str) -> Iterator[Cause]:
    operator, effect = one.get("operator", "Equal"), one.get("effect", "")
    if not one.get("key") and operator != "Exists":
        why = (
            "operator must be Exists when `key` is empty, "
            'which means "match all values and all keys"'
        )
        yield causes.invalid(f"{at}.operator", operator, why)
    if one.get("tolerationSeconds") is not None and effect != "NoExecute":
        why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield causes.invalid(f"{at}.effect", effect, why)
    if operator == "Exists" and one.get("value"):
        why = "value must be empty when `operator` is 'Exists'"
        yield causes.invalid(f"{at}.operator", one["value"], why)


def _topology_key(key: Any, at: str) -> Iterator[Cause]:
    if not key:
        yield causes.required(at, "can not be empty")
    yield from text(formats.qualified_name)(key or "", at)


_dns_label, _dns_name = text(formats.dns_label), text(formats.dns_subdomain)
_user = number(0, f"must be between 0 and {_MAX_INT32}, inclusive", _MAX_INT32)
_weight = number(1, "must be in the range 1-100", 100, absent=0)
_mode = number(0, "must be a number between 0 and 0777 (octal), both inclusive", 0o777)

PODS: Rows = {
    "V1PodSpec": {
        "volumes": distinct("name"), "containers": needed(), "": _pod_spec,
        "initContainers": any_value, "restartPolicy": one_of("Always", "OnFailure", "Never"),
        "dnsPolicy": one_of("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
        "nodeSelector": labels, "securityContext": any_value, "affinity": any_value,
        "activeDeadlineSeconds": number(
            1, f"must be between 1 and {_MAX_INT32}, inclusive", _MAX_INT32),
        **dict.fromkeys(("hostname", "subdomain"), unless_empty(_dns_label)),
        **dict.fromkeys(
            ("serviceAccountName", "nodeName", "priorityClassName"), unless_empty(_dns_name)),
        "ephemeralContainers": _ephemeral,
        "topologySpreadConstraints": _spread,
    },
    "V1PodSecurityContext": {
        **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), _user),
        "supplementalGroups": each(_user),
        "fsGroupChangePolicy": one_of("Always", "OnRootMismatch"),
    },
    "V1PodDNSConfig": {"nameservers": each(text(formats.ip_address))},
    "V1PodReadinessGate": {"conditionType": text(formats.qualified_name)},
    "V1SecurityContext": {"runAsUser": _user, "runAsGroup": _user, "": _security_context},
    "V1SeccompProfile": {
        "type": needed(one_of("Localhost", "RuntimeDefault", "Unconfined")), "": _seccomp_profile,
    },
    "V1HostAlias": {"ip": text(formats.ip_address, absent=""), "hostnames": each(_dns_name)},
    "V1Volume": {"name": needed(_dns_label), "": _volume},
    "V1ConfigMapVolumeSource": {"name": needed(), "defaultMode": _mode},
    "V1SecretVolumeSource": {"secretName": needed(), "defaultMode": _mode},
    "V1DownwardAPIVolumeSource": {"defaultMode": _mode},
    "V1ProjectedVolumeSource": {"defaultMode": _mode},
    "V1EmptyDirVolumeSource": {"sizeLimit": _size_limit},
    "V1HostPathVolumeSource": {"path": needed(text(formats.path))},
    "V1VolumeProjection": {"": _projection},
    "V1DownwardAPIVolumeFile": {"path": needed(text(formats.relative_path)), "": _downward_file},
    "V1KeyToPath": {"key": needed(), "path": text(formats.relative_path)},
    "V1NodeSelector": {
        "nodeSelectorTerms": needed(why="must have at least one node selector term"),
    },
    "V1PreferredSchedulingTerm": {"weight": _weight},
    "V1WeightedPodAffinityTerm": {"weight": _weight},
    "V1PodAffinityTerm": {"labelSelector": any_value, "topologyKey": _topology_key},
    "V1TopologySpreadConstraint": {
        "maxSkew": number(1, "must be greater than zero", absent=0),
        "topologyKey": _topology_key,
        "whenUnsatisfiable": one_of("DoNotSchedule", "ScheduleAnyway", absent=""),
        "minDomains": number(1, "must be greater than 0"), "": _spread_domains,
    },
    "V1Toleration": {
        "key": text(formats.qualified_name), "": _toleration,
        "operator": one_of("Equal", "Exists"),
        "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    },
}  # fmt: skip
