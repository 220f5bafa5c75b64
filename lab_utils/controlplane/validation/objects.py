"""Which workloads, Services, budgets, configurations and other kinds are right.

Source:
    k8s.io/kubernetes/pkg/apis/<group>/validation
"""

import base64
import json
from collections.abc import Iterator

from lab_utils.controlplane.parsing import Unreadable, read_json
from lab_utils.controlplane.selectors import label_selector
from lab_utils.controlplane.status import Cause, Object
from lab_utils.controlplane.validation import causes, formats
from lab_utils.controlplane.validation.checks import (
    Check,
    Rows,
    any_value,
    at_least_zero,
    count_or_percent,
    needed,
    number,
    one_of,
    share,
    text,
)
from lab_utils.controlplane.validation.metadata import requirement

_POD_SECURITY = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_MAX_DATA_BYTES = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _workload(kind: str) -> Check:
    def run(spec: Object, at: str) -> Iterator[Cause]:
        selector, template = spec.get("selector"), spec.get("template", {})
        labels = template.get("metadata", {}).get("labels")
        if selector == {}:
            why = f"empty selector is invalid for {kind}"
            yield causes.invalid(f"{at}.selector", {}, why)
        if selector and not _can_be_read(selector):
            yield causes.invalid(f"{at}.selector", selector, "invalid label selector")
        elif selector is None or not label_selector(selector).matches(labels):
            why = "`selector` does not match template `labels`"
            yield causes.invalid(f"{at}.template.metadata.labels", labels, why)
        yield from _template(template.get("spec", {}), f"{at}.template.spec")
        yield from _deadline(spec, at)

    return run


def _can_be_read(selector: Object) -> bool:
    return not any(
        [*requirement(rule, "")] or formats.qualified_name(rule.get("key", ""))
        for rule in selector.get("matchExpressions", ())
    )


def _template(pod: Object, at: str) -> Iterator[Cause]:
    if pod.get("restartPolicy", "Always") != "Always":
        yield causes.unsupported(f"{at}.restartPolicy", pod["restartPolicy"], ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        why = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield causes.forbidden(f"{at}.activeDeadlineSeconds", why)


def _deadline(spec: Object, at: str) -> Iterator[Cause]:
    deadline_s = spec.get("progressDeadlineSeconds")
    if deadline_s is not None and deadline_s <= spec.get("minReadySeconds", 0):
        why = "must be greater than minReadySeconds"
        yield causes.invalid(f"{at}.progressDeadlineSeconds", deadline_s, why)


def _strategy(one: Object, at: str) -> Iterator[Cause]:
    kind, rolling = one.get("type"), one.get("rollingUpdate")
    if kind == "Recreate" and rolling is not None:
        why = "may not be specified when strategy `type` is 'Recreate'"
        yield causes.forbidden(f"{at}.rollingUpdate", why)
    if kind not in ("Recreate", "RollingUpdate"):
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield causes.unsupported(at, shown, ("Recreate", "RollingUpdate"))


def _rolling_update(one: Object, at: str) -> Iterator[Cause]:
    unavailable = one.get("maxUnavailable", 0)
    if one.get("maxSurge", 0) in (0, "0%") and unavailable in (0, "0%"):
        why = "may not be 0 when `maxSurge` is 0"
        yield causes.invalid(f"{at}.maxUnavailable", unavailable, why)


def _disruption_budget(spec: Object, at: str) -> Iterator[Cause]:
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = {"MinAvailable": least, "Selector": spec.get("selector"), "MaxUnavailable": most,
                 "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")}  # fmt: skip
        yield causes.invalid(at, shown, "minAvailable and maxUnavailable cannot be both set")


def _namespace(new: Object, _at: str) -> Iterator[Cause]:
    labels = new.get("metadata", {}).get("labels", {})
    for mode in ("enforce", "audit", "warn"):
        level = labels.get(f"{_POD_SECURITY}{mode}", "privileged")
        if level not in _LEVELS:
            field = f"metadata.labels[{_POD_SECURITY}{mode}]"
            yield causes.invalid(field, level, f"must be one of {', '.join(_LEVELS)}")
        version = labels.get(f"{_POD_SECURITY}{mode}-version", "latest")
        if version != "latest" and not version.startswith("v1."):
            field = f"metadata.labels[{_POD_SECURITY}{mode}-version]"
            yield causes.invalid(field, version, 'must be "latest" or "v1.x"')


def _config_map(new: Object, _at: str) -> Iterator[Cause]:
    plain, binary = new.get("data", {}), new.get("binaryData", {})
    yield from _keys("data", plain)
    for key in sorted({*plain} & {*binary}):
        yield causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    yield from _keys("binaryData", binary)
    size = sum(len(value.encode()) for value in plain.values())
    if size + _decoded_size(binary) > _MAX_DATA_BYTES:
        yield causes.too_long("[]", _MAX_DATA_BYTES)


def _keys(field: str, data: Object) -> Iterator[Cause]:
    for key in data:
        yield from text(formats.config_key)(key, f"{field}[{key}]")


def _decoded_size(data: Object) -> int:
    return sum(len(value) * 3 // 4 for value in data.values())


def _secret(new: Object, _at: str) -> Iterator[Cause]:
    data = new.get("data", {})
    yield from _keys("data", data)
    if _decoded_size(data) > _MAX_DATA_BYTES:
        yield causes.too_long("data", _MAX_DATA_BYTES)
    for key in _SECRET_KEYS.get(new.get("type", ""), ()):
        if key not in data:
            yield causes.required(f"data[{key}]")
        elif key.startswith(".docker"):
            yield from _json_text(data[key], f"data[{key}]")
    if new.get("type") == "kubernetes.io/basic-auth" and not {"username", "password"} & {*data}:
        yield from (causes.required(f"data[{key}]") for key in ("username", "password"))


def _json_text(encoded: str, at: str) -> Iterator[Cause]:
    try:
        read_json(base64.b64decode(encoded))
    except (Unreadable, ValueError) as exc:
        yield causes.invalid(at, "<secret contents redacted>", str(exc))


def _taints(taints: list[Object] | None, at: str) -> Iterator[Cause]:
    """Check that no two taints of a node say the same."""
    seen = set()
    for i, taint in enumerate(taints or ()):
        pair = (taint.get("key"), taint.get("effect"))
        if pair in seen:
            yield Cause("FieldValueDuplicate", f"Duplicate value: {json.dumps(taint)}: taints must "
                        "be unique by key and effect pair", f"{at}[{i}]")  # fmt: skip
        seen.add(pair)


def _event(new: Object, _at: str) -> Iterator[Cause]:
    """Check where an event is about; one with an eventTime must also say who reports what."""
    about = new.get("involvedObject", {}).get("namespace", "")
    own = new.get("metadata", {}).get("namespace", "")
    if about != own and (about, own) != ("", "default"):
        why = "does not match event.namespace"
        yield causes.invalid("involvedObject.namespace", about, why)
    if new.get("eventTime"):
        for field in ("reportingComponent", "reportingInstance", "action", "reason"):
            if not new.get(field):
                yield causes.required(field)


OBJECTS: Rows = {
    "V1DeploymentSpec": {
        "replicas": at_least_zero, "selector": needed(),
        "": _workload("deployment"), "template": any_value, "strategy": any_value,
        "minReadySeconds": at_least_zero, "revisionHistoryLimit": at_least_zero,
        "progressDeadlineSeconds": at_least_zero,
    },
    "V1ReplicaSetSpec": {
        "replicas": at_least_zero, "minReadySeconds": at_least_zero,
        "selector": needed(), "": _workload("replicaset"),
    },
    "V1DeploymentStrategy": {"": _strategy},
    "V1RollingUpdateDeployment": {
        "maxUnavailable": share, "maxSurge": count_or_percent, "": _rolling_update,
    },
    "V1PodDisruptionBudgetSpec": {
        "": _disruption_budget, "minAvailable": share, "maxUnavailable": share,
        "selector": any_value,
        "unhealthyPodEvictionPolicy": one_of("AlwaysAllow", "IfHealthyBudget"),
    },
    "V1LeaseSpec": {
        "leaseDurationSeconds": number(1, "must be greater than 0"),
        "leaseTransitions": at_least_zero,
    },
    "V1NodeSpec": {"taints": _taints},
    "V1Taint": {
        "key": needed(text(formats.qualified_name)), "value": text(formats.label_value),
        "effect": needed(one_of("NoSchedule", "PreferNoSchedule", "NoExecute")),
    },
    "V1Namespace": {"metadata": any_value, "": _namespace},
    "V1ConfigMap": {"metadata": any_value, "": _config_map},
    "V1Secret": {"metadata": any_value, "": _secret},
    "CoreV1Event": {"metadata": any_value, "": _event},
}  # fmt: skip
