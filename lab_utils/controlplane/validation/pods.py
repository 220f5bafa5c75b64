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
    labels,
    needed,
    number,
    one_of,
    repeated,
    text,
)

_MAX_INT32 = 2**31 - 1


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
    # A volume of two kinds counts as none.
    volumes = [one.get("name") for one in spec.get("volumes", ()) if len(one) <= 2]
    for container, field in containers:
        for i, mount in enumerate(container.get("volumeMounts", ())):
            if mount.get("name") and mount["name"] not in volumes:
                yield causes.not_found(f"{field}.volumeMounts[{i}].name", mount["name"])


def _host_port(port: Object) -> str:
    number, protocol = port.get("hostPort"), port.get("protocol", "TCP")
    return f"{protocol}/{port.get('hostIP', '')}/{number}" if number else ""


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


_dns_label = text(formats.dns_label)
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
        "hostname": _dns_label, "subdomain": _dns_label, "ephemeralContainers": _ephemeral,
    },
    "V1PodSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), _user),
    "V1SecurityContext": {"runAsUser": _user, "runAsGroup": _user, "": _security_context},
    "V1SeccompProfile": {"": _seccomp_profile},
    "V1HostAlias": {"ip": text(formats.ip_address, absent="")},
    "V1Volume": {"name": needed(_dns_label), "": _volume},
    "V1ConfigMapVolumeSource": {"name": needed(), "defaultMode": _mode},
    "V1SecretVolumeSource": {"secretName": needed(), "defaultMode": _mode},
    "V1DownwardAPIVolumeSource": {"defaultMode": _mode},
    "V1ProjectedVolumeSource": {"defaultMode": _mode},
    "V1EmptyDirVolumeSource": {"sizeLimit": _size_limit},
    "V1HostPathVolumeSource": {"path": needed(text(formats.path))},
    "V1KeyToPath": {"path": text(formats.relative_path)},
    "V1PreferredSchedulingTerm": {"weight": _weight},
    "V1WeightedPodAffinityTerm": {"weight": _weight},
    "V1PodAffinityTerm": {"labelSelector": any_value, "topologyKey": _topology_key},
    "V1TopologySpreadConstraint": {
        "maxSkew": number(1, "must be greater than zero", absent=0),
        "topologyKey": _topology_key,
        "whenUnsatisfiable": one_of("DoNotSchedule", "ScheduleAnyway", absent=""),
    },
    "V1Toleration": {
        "key": text(formats.qualified_name), "": _toleration,
        "operator": one_of("Equal", "Exists"),
        "effect": one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
    },
}  # fmt: skip
